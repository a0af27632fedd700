// Package databricks is a Databricks workspace as a fabric.Fabric: its jobs are the resources, and
// wheels, jars, scripts and configurations lie in a folder of workspace files or of a volume, each named by
// what it holds.
//
// Start with New. A Workspace talks to the host it was given, with the credentials it was given:
// neither the environment nor ~/.databrickscfg adds to them. It reads with bounded retries; every
// request that changes something is sent once, under an intent that is in the ledger before, and when
// its outcome is doubtful the Workspace looks instead of trying again.
//
// A live job is ours when it carries the four mark tags (see mark.go). They are no part of the
// documents that leave this package.
//
// The API is Jobs 2.2, Workspace 2.0, Files 2.0 and SCIM Me, and to look for what others put there Secrets,
// DBFS and Pipelines 2.0, as raw JSON with exact numbers: the structs of the SDK would drop the fields that
// they do not know.
package databricks
