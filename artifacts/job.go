package artifacts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"selvage/configs"
)

// maxJob bounds databricks-job.json, in bytes. The Jobs API takes far less; the rest is room for the
// inline scripts of components.
const maxJob = 8 << 20

// maxReasons bounds what is said about one job: who mends those sees the rest.
const maxReasons = 20

// block records why the job can't be deployed, and returns the last reason that it has now.
func (j *Job) block(code configs.Code, field, particulars string) configs.Finding {
	switch {
	case len(j.Blocked) == maxReasons:
		return j.Blocked[maxReasons-1]
	case len(j.Blocked) == maxReasons-1:
		particulars += "; there is more, mend these first"
	}
	subject := j.File
	if field != "" {
		subject += ": " + field
	}
	f := configs.Found(code, subject, particulars)
	j.Blocked = append(j.Blocked, f)
	return f
}

// jobs reads the jobs that pbt_project.yml lists, and those that only have a folder: a job that is
// in one of the two places and not in the other was perhaps removed, perhaps lost in a merge. Only a
// job that is in neither is gone.
func (r *reader) jobs(top []ymlEntry) error {
	entries, err := r.section(top, "jobs")
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, e := range entries {
		listed[e.key] = true
		j := r.newJob(e.key)
		r.entry(&j, e)
		if err := r.definition(&j); err != nil {
			return err
		}
		r.project.Jobs = append(r.project.Jobs, j)
	}
	folders, err := codeFolders(r.tree, r.root, "jobs")
	if err != nil {
		return err
	}
	for _, key := range folders {
		if listed[key] {
			continue
		}
		if !validKey(key, "jobs") {
			r.found(configs.EntryPassedOver, path.Join(r.root, key), "its name has characters that no job has")
			continue
		}
		j := r.newJob(key)
		j.block(configs.JobUnlisted, "", fmt.Sprintf("%s is not under jobs in %s", key, r.file))
		if err := r.definition(&j); err != nil {
			return err
		}
		r.project.Jobs = append(r.project.Jobs, j)
	}
	sort.Slice(r.project.Jobs, func(i, k int) bool { return r.project.Jobs[i].Key < r.project.Jobs[k].Key })
	r.references()
	return nil
}

func (r *reader) newJob(key string) Job {
	return Job{Key: key, File: path.Join(r.root, key, "code/databricks-job.json")}
}

// entry reads what pbt_project.yml says of a job.
func (r *reader) entry(j *Job, e ymlEntry) {
	broken := func(line int, field, particulars string) {
		j.Blocked = append(j.Blocked, configs.Found(configs.JobBroken, r.at(line, e.key+field), particulars))
	}
	fields, ok := mapping(e.value)
	if !ok || fields == nil {
		broken(e.line, "", "expected a mapping with name, fabricUID and scheduler")
		return
	}
	at := func(n ast.Node) int { return max(e.line, lineOf(n)) }

	fabric := lookup(fields, "fabricUID")
	if j.FabricUID, _, ok = scalar(fabric); !ok {
		broken(at(fabric), ".fabricUID", "expected the number of a fabric")
	}
	enabled := lookup(fields, "enabled")
	switch text, null, ok := scalar(enabled); {
	case !ok || !null && !strings.EqualFold(text, "true") && !strings.EqualFold(text, "false"):
		broken(at(enabled), ".enabled", "expected true, false or null")
	case !null:
		on := strings.EqualFold(text, "true")
		j.Enabled = &on
	}
	scheduler := lookup(fields, "scheduler")
	if j.Scheduler, ok = oneKey(scheduler); !ok {
		broken(at(scheduler), ".scheduler", "expected a mapping with one key, as {Databricks: {}}")
		return
	}
	if j.Scheduler != "Databricks" {
		j.Blocked = append(j.Blocked, configs.Found(configs.JobNotSupported, r.at(at(scheduler), e.key+".scheduler"),
			fmt.Sprintf("%q; expected Databricks", j.Scheduler)))
	}
}

// definition reads databricks-job.json. Its error is about the tree, never about the file's content.
func (r *reader) definition(j *Job) error {
	if j.Scheduler != "" && j.Scheduler != "Databricks" {
		return nil // its definition has another form
	}
	inner, err := r.inner(path.Join(j.Key, "code"))
	if err != nil {
		return err
	}
	if inner != "" {
		j.block(configs.JobBroken, "", fmt.Sprintf("%s lists the job, but its folder is part of the project in %s", r.file, inner))
		return nil
	}
	raw, err := readFile(r.tree, j.File, maxJob)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		j.block(configs.JobBroken, "", fmt.Sprintf("the file is not in this commit, and %s lists the job", r.file))
		return nil
	case errors.Is(err, errTooLarge), errors.Is(err, errNotFollowed):
		j.block(configs.JobBroken, "", err.Error())
		return nil
	case err != nil:
		return fmt.Errorf("read %s: %w", j.File, err)
	}
	j.Raw, j.Digest = raw, hexDigest(raw)
	doc, err := decodeJSON(raw)
	if err != nil {
		j.block(configs.JobBroken, "", err.Error())
		return nil
	}
	d := definition{job: j, project: &r.project, files: map[string]placed{}}
	d.read(doc)
	r.runs = append(r.runs, d.runs...)
	if settings, field, err := Request(doc); err == nil {
		if err := r.sources(j, settings, field); err != nil {
			return err
		}
	}
	if j.FabricID != "" && j.FabricUID != "" && j.FabricID != j.FabricUID {
		r.found(configs.JobFabricDiffers, j.File+": fabric_id",
			fmt.Sprintf("it says %s, fabricUID in %s says %s and decides", j.FabricID, r.file, j.FabricUID))
	}
	return nil
}

// Request takes the settings of the job out of a decoded databricks-job.json, and says which field they
// stand in: "request", or in the oldest files "request.CreateNewJobRequest". Its error names the field
// and what was expected there.
func Request(file map[string]any) (settings map[string]any, field string, err error) {
	const outer, inner = "request", "request.CreateNewJobRequest"
	settings, ok := file["request"].(map[string]any)
	if !ok {
		return nil, outer, fmt.Errorf("expected an object, found %s", kindOf(file["request"]))
	}
	wrapped, old := settings["CreateNewJobRequest"]
	if !old {
		return settings, outer, nil
	}
	if _, both := settings["tasks"]; both {
		return nil, inner, errors.New("expected the settings of the job here or in request itself, found both")
	}
	if settings, ok = wrapped.(map[string]any); !ok {
		return nil, inner, fmt.Errorf("expected an object, found %s", kindOf(wrapped))
	}
	return settings, inner, nil
}

// decodeJSON decodes exactly one JSON object, numbers as they are written. Its error gives line and
// column.
func decodeJSON(raw []byte) (map[string]any, error) {
	if !utf8.Valid(raw) {
		at := 0
		for at < len(raw) {
			c, n := utf8.DecodeRune(raw[at:])
			if c == utf8.RuneError && n == 1 {
				break
			}
			at += n
		}
		return nil, fmt.Errorf("%s: not UTF-8", position(raw, at))
	}
	if line := conflict(raw); line > 0 {
		return nil, fmt.Errorf("line %d: a merge conflict that nobody resolved", line)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var doc any
	if err := dec.Decode(&doc); err != nil {
		var syntax *json.SyntaxError
		switch {
		case errors.As(err, &syntax):
			return nil, fmt.Errorf("%s: %w", position(raw, int(syntax.Offset)-1), err)
		case errors.Is(err, io.EOF) && len(bytes.TrimSpace(raw)) == 0:
			return nil, errors.New("the file is empty")
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, fmt.Errorf("%s: the file ends too early", position(raw, len(raw)))
		}
		return nil, err
	}
	end := int(dec.InputOffset())
	if rest := bytes.TrimLeft(raw[end:], " \t\r\n"); len(rest) > 0 {
		return nil, fmt.Errorf("%s: more after the end of the object", position(raw, len(raw)-len(rest)))
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("line 1, column 1: expected an object, found %s", kindOf(doc))
	}
	return object, nil
}

// position says where the byte at offset stands, in lines and columns (bytes) from 1.
func position(raw []byte, offset int) string {
	offset = min(max(offset, 0), len(raw))
	before := raw[:offset]
	return fmt.Sprintf("line %d, column %d", 1+bytes.Count(before, []byte("\n")), offset-bytes.LastIndexByte(before, '\n'))
}

// kindOf names a decoded JSON value for people.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		if strings.TrimSpace(v) == "" {
			return "an empty text"
		}
		return "a text"
	case json.Number:
		return "the number " + shorten(v.String())
	case bool:
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%T", v)
}

// shorten keeps a quotation from the repository to a length that fits a sentence.
func shorten(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
