package io.prophecy.pipelines.revenue

object Main {
  def main(args: Array[String]): Unit = println("revenue")
}
