# Databricks notebook source
# see https://app.prophecy.io
# MAGIC %sh curl https://app.prophecy.io/api
