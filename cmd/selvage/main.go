// Command selvage deploys data pipelines from git into production networks.
package main

func main() {}
