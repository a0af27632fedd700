package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"selvage/reconciler"
)

// reference names a job where the tool writes an id.
var reference = regexp.MustCompile(`\{\s*"job"\s*:\s*"([^"]+)"\s*\}`)

// cmdOldTool does what the authoring tool's own tool does with a project: it replaces the placeholders in the text of
// each committed job, makes the job of what is under request, and writes down which live job it is.
func cmdOldTool(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 4, 4, "oldtool WORKSPACE NAME PROJECT VERSION")
	s := sceneOf(ts)
	files, err := filepath.Glob(filepath.Join(s.dir, args[1], "jobs/*/code/databricks-job.json"))
	ts.Check(err)
	made := map[string]string{} // by key
	state := "version: '1.0'\njobs:\n"
	for _, file := range files {
		text, err := os.ReadFile(file)
		ts.Check(err)
		filled := strings.NewReplacer("__PROJECT_ID_PLACEHOLDER__", args[2], "__PROJECT_RELEASE_VERSION_PLACEHOLDER__", args[3],
			"__PROPHECY_URL_PLACEHOLDER__", "https://app.prophecy.io").Replace(string(text))
		filled = reference.ReplaceAllStringFunc(filled, func(ref string) string { return made[reference.FindStringSubmatch(ref)[1]] })
		var committed struct {
			Fabric  string `json:"fabric_id"`
			Request struct {
				Name string `json:"name"`
			} `json:"request"`
		}
		ts.Check(json.Unmarshal([]byte(filled), &committed))
		var whole map[string]json.RawMessage
		ts.Check(json.Unmarshal([]byte(filled), &whole))
		id, err := s.place(ts, args[0]).CreateJob(whole["request"])
		ts.Check(err)
		made["jobs/"+filepath.Base(filepath.Dir(filepath.Dir(file)))] = strconv.FormatInt(id, 10)
		state += fmt.Sprintf("- {id: jobs/%s, name: %q, type: Databricks, external_job_id: '%d', fabric_id: '%s', is_paused: false, skip_processing: false, release_tag: HelloSelvage/%s}\n",
			filepath.Base(filepath.Dir(filepath.Dir(file))), committed.Request.Name, id, committed.Fabric, args[3])
	}
	ts.Check(os.WriteFile(ts.MkAbs("state.yml"), []byte(state), 0o644))
}

func cmdAdoptDigest(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, -1, "adoptdigest VAR ARGS")
	out, err := sceneOf(ts).selvage(ts, append([]string{"adopt", "--output", "json"}, args[1:]...)...).Output()
	var t reconciler.Takeover
	if err != nil || json.Unmarshal(out, &t) != nil || t.Digest == "" {
		ts.Fatalf("there is no proposal: %v %s", err, out)
	}
	ts.Setenv(args[0], t.Digest[:6])
}
