# Databricks notebook source
print("a script that begins like a notebook")
