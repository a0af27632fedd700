from clean_orders.pipeline import main

main()
