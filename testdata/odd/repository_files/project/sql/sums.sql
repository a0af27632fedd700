select sum(amount) from gold.orders;
