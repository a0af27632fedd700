# Databricks notebook source
print("clean")

# COMMAND ----------
# MAGIC %md daily
