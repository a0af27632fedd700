// Package testdata holds the sample project that the demo deploys and that many tests read.
//
// hello is the content of a git repository: a project called HelloSelvage at its root, the daily
// revenue of a small shop, with four Python pipelines (unit tests and the configurations default, dev
// and prod in each) and three jobs:
//
//   - jobs/daily_revenue runs three pipelines one after the other, each day (paused in git);
//   - jobs/customer_report runs one, each Monday (paused in git);
//   - jobs/month_end runs the job daily_revenue, then a pipeline; it has no schedule.
//
// month_end refers to daily_revenue by its key, {"job": "jobs/daily_revenue"} in the place of a job's
// number: what is ours, not the authoring tool's. Everything else is in the tool's own format.
package testdata

import "embed"

// Hello is the sample repository, below the folder "hello".
//
//go:embed all:hello
var Hello embed.FS
