from revenue_by_day.pipeline import main

main()
