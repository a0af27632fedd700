package reconciler

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"selvage/configs"
)

// usual are the settings, by the last part of their path, that an expectation does not repeat: what every odd project
// has, what a workspace fills in, and our marks.
var usual = map[string]bool{
	"aws_attributes": true, "edit_mode": true, "enable_local_disk_encryption": true, "single_user_name": true, "data_security_mode": true, "driver_node_type_id": true, "email_notifications": true, "enable_elastic_disk": true,
	"format": true, "job_cluster_key": true, "max_concurrent_runs": true, "max_retries": true, "node_type_id": true, "num_workers": true,
	"queue": true, "run_if": true, "spark_version": true, "timeout_seconds": true, "webhook_notifications": true, "entry_point": true,
	"notification_settings": true, "min_retry_interval_millis": true, "retry_on_timeout": true, "task_key": true,
	"selvage-installation": true, "selvage-deployment": true, "selvage-key": true, "selvage-nonce": true, "selvage-wrote": true,
}

// workspaceHolds reports what is in the workspace: files with what they hold if it is text, and jobs.
func (o *oddity) workspaceHolds(report *strings.Builder) {
	files := slices.Sorted(maps.Keys(o.workspace.Files()))
	slices.SortFunc(files, func(a, b string) int { return strings.Compare(path.Base(a), path.Base(b)) })
	for _, name := range files {
		fmt.Fprintf(report, "\nfile  %s\n", o.masked(name))
		if text := o.content(name); isText(name) {
			for line := range strings.Lines(text) {
				fmt.Fprintf(report, "  | %s\n", o.masked(strings.TrimSuffix(line, "\n")))
			}
		}
	}
	var jobs []string
	for _, j := range o.workspace.Jobs() {
		var settings map[string]any
		dec := json.NewDecoder(bytes.NewReader(j.Settings))
		dec.UseNumber()
		if err := dec.Decode(&settings); err != nil {
			o.t.Fatal(err)
		}
		text := fmt.Sprintf("\njob   %s\n", j.Name)
		delete(settings, "name")
		flatten("", settings, func(field string, v any) {
			b, err := spell(v)
			if err != nil {
				o.t.Fatal(err)
			}
			text += fmt.Sprintf("  %s  %s\n", field, o.masked(b))
		})
		if access := o.workspace.Access(j.ID); len(access) > 1 { // more than that we own it
			text += "  access  " + strings.Join(access, "\n  access  ") + "\n"
		}
		jobs = append(jobs, text)
	}
	slices.Sort(jobs)
	report.WriteString(strings.Join(jobs, ""))
}

func isText(name string) bool {
	return !strings.HasSuffix(name, ".whl") && !strings.HasSuffix(name, ".jar")
}

// content is what a file of the workspace holds.
func (o *oddity) content(name string) string {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "http://workspace/api/2.0/workspace/export?direct_download=true&format=AUTO&path="+url.QueryEscape(name), nil)
	if strings.HasPrefix(name, "/Volumes/") {
		r = httptest.NewRequest("GET", "http://workspace/api/2.0/fs/files"+(&url.URL{Path: name}).EscapedPath(), nil)
	}
	r.Header.Set("Authorization", "Bearer canary-token-1")
	o.workspace.ServeHTTP(w, r)
	if w.Code != 200 {
		o.t.Fatalf("%s: %d %s", name, w.Code, w.Body)
	}
	return w.Body.String()
}

// spell is a value as JSON, with letters as they are.
func spell(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return strings.TrimSpace(b.String()), err
}

// flatten calls see for each value in v but the usual ones, with its path; elements with a key of their own go by that.
func flatten(field string, v any, see func(field string, v any)) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if !usual[k] {
				flatten(strings.TrimPrefix(field+"."+k, "."), v[k], see)
			}
		}
		return
	case []any:
		if len(v) == 0 {
			break
		}
		if _, objects := v[0].(map[string]any); !objects {
			break
		}
		for i, e := range v {
			m, _ := e.(map[string]any)
			name, ok := m["task_key"].(string)
			if !ok {
				name, ok = m["job_cluster_key"].(string)
			}
			switch {
			case !ok:
				name = fmt.Sprint(i)
			case len(m) == 1: // the task that another one depends on
				see(fmt.Sprintf("%s[%d]", field, i), name)
			}
			flatten(fmt.Sprintf("%s[%s]", field, name), e, see)
		}
		return
	}
	see(field, v)
}

// toolHost is an address of the authoring tool's makers; io.prophecy:prophecy-libs is none.
var toolHost = regexp.MustCompile(`(?i)[a-z0-9-]\.prophecy\.io\b|//prophecy\.io\b`)

// clean fails the test if what runs holds a placeholder, or an address of the authoring tool outside a comment that the
// configuration does not allow.
func (o *oddity) clean() {
	allowed := slices.ContainsFunc(o.Config.Deployments, func(d *configs.Deployment) bool { return len(d.Allow) > 0 })
	check := func(where, text string) {
		if i := strings.Index(text, "_PLACEHOLDER__"); i >= 0 {
			o.t.Errorf("%s holds a placeholder: %.200s", where, text[max(0, i-100):])
		}
		for line := range strings.Lines(text) {
			if !allowed && toolHost.MatchString(line) && !strings.HasPrefix(strings.TrimSpace(line), "#") {
				o.t.Errorf("%s holds an address of the authoring tool: %.200s", where, line)
			}
		}
	}
	for _, j := range o.workspace.Jobs() {
		check("job "+j.Name, string(j.Settings))
	}
	for name := range o.workspace.Files() {
		if text := o.content(name); isText(name) {
			check(name, text)
			if !utf8.ValidString(text) {
				o.t.Errorf("%s is no UTF-8", name)
			}
		}
	}
}
