from customer_report.pipeline import main

main()
