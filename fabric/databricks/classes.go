package databricks

import "strings"

// class is the requests that the service counts together.
type class string

// The zero class is no request at all.
const (
	jobReads        class = "read jobs"
	jobCreates      class = "create jobs"
	jobChanges      class = "change jobs" // reset, update, delete
	runReads        class = "read runs"
	runStarts       class = "start runs"
	permissionReads class = "read permissions"
	permissionWrite class = "write permissions"
	importing       class = "import" // into the workspace, with the folders for it
	exporting       class = "export" // from the workspace, with looks at what is there
	volumeFiles     class = "files of volumes"
	principals      class = "principals"
	otherCalls      class = "others"
)

// published are the requests per second and workspace that the vendor's limits page names. The others
// start at what the configuration allows, and find out.
var published = map[class]float64{
	jobCreates: 20, runReads: 100, runStarts: 20, permissionReads: 100, permissionWrite: 30,
	importing: 30, exporting: 60, volumeFiles: 100,
}

// classOf is the class of a request, by the path without its version: "/api/2.2/jobs/list".
func classOf(method, p string) class {
	p = strings.TrimPrefix(p, "/api/")
	if _, rest, ok := strings.Cut(p, "/"); ok {
		p = rest
	}
	read := !changes(method)
	area, rest, _ := strings.Cut(p, "/")
	switch area {
	case "jobs":
		switch {
		case strings.HasPrefix(rest, "runs/") && read:
			return runReads
		case strings.HasPrefix(rest, "runs/"), rest == "run-now":
			return runStarts
		case read:
			return jobReads
		case rest == "create":
			return jobCreates
		}
		return jobChanges
	case "permissions":
		if read {
			return permissionReads
		}
		return permissionWrite
	case "workspace":
		if read {
			return exporting
		}
		return importing
	case "fs":
		return volumeFiles
	case "preview", "scim":
		return principals
	}
	return otherCalls
}

// uploads is the class of the requests that put a file there.
func uploads(path string) class {
	if strings.HasPrefix(path, "/Volumes/") {
		return volumeFiles
	}
	return importing
}

// changing reports requests that change the workspace. Files of volumes are read and written in one class.
func (c class) changing() bool {
	switch c {
	case jobCreates, jobChanges, runStarts, permissionWrite, importing:
		return true
	}
	return false
}
