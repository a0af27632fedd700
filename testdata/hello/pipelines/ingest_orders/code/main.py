from ingest_orders.pipeline import main

main()
