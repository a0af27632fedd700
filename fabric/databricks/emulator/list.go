package emulator

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// pageSize is how many elements of a keyed list one read shows.
const pageSize = 100

// getJob is GET jobs/get. Beyond 100 elements of any keyed list, next_page_token leads on; on a later
// page a list that has ended is empty, and everything else is there again.
func (w *Workspace) getJob(c *call) (answer, *failure) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j, f := w.find(c, textOrNil(c.param("job_id")), false)
	if f != nil {
		return answer{}, f
	}
	page := 0
	if token := c.param("page_token"); token != "" {
		fields, f := openToken(token, "get", 2)
		if f != nil {
			return answer{}, f
		}
		if fields[0] != int(j.seq) {
			return answer{}, invalid("page_token %q belongs to another job", token)
		}
		page = fields[1]
	}
	settings, more := window(j.settings, page*pageSize)
	job := w.header(j)
	job["run_as_user_name"] = runAsName(j)
	job["settings"] = settings
	if more {
		job["next_page_token"] = pageToken("get", int(j.seq), page+1)
	}
	return ok(job)
}

// textOrNil is nil for an absent query parameter, so that number finds it missing.
func textOrNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// header is what get and list show of a job beside its settings.
func (w *Workspace) header(j *job) map[string]any {
	h := map[string]any{"job_id": j.id, "creator_user_name": j.creator, "created_time": j.created.UnixMilli()}
	policy := w.o.Unverified.BudgetPolicy
	if own := textField(j.settings, "budget_policy_id"); own != "" {
		policy = own
	}
	if policy != "" {
		h["effective_budget_policy_id"] = policy
	}
	return h
}

// runAsName is the identity that runs the job, configured or not.
func runAsName(j *job) string {
	for _, field := range []string{"user_name", "service_principal_name"} {
		if name := textField(j.settings["run_as"], field); name != "" {
			return name
		}
	}
	return j.creator
}

// window is settings with the elements from offset to offset+pageSize of each keyed list.
func window(settings map[string]any, offset int) (shown map[string]any, more bool) {
	shown = maps.Clone(settings)
	for field := range keyedLists {
		list, isList := settings[field].([]any)
		if !isList {
			continue
		}
		end := min(offset+pageSize, len(list))
		shown[field] = list[min(offset, end):end]
		more = more || end < len(list)
	}
	return shown, more
}

// listJobs is GET jobs/list.
func (w *Workspace) listJobs(c *call) (answer, *failure) {
	limit, f := limitParam(c, 20, 100)
	if f != nil {
		return answer{}, f
	}
	expand := c.param("expand_tasks") == "true"
	name := c.param("name")
	w.mu.Lock()
	defer w.mu.Unlock()
	visible := func(j *job) bool {
		return !w.hides(j.id, c.user) && w.grants(j, c.user, "CAN_VIEW") && c.now.Sub(j.created) >= w.o.Unverified.ListLag &&
			(name == "" || strings.EqualFold(textField(j.settings, "name"), name))
	}
	start, f := w.listStart(c)
	if f != nil {
		return answer{}, f
	}
	var out bytes.Buffer
	shown, last, more := 0, (*job)(nil), false
	skip := start.offset
	for i := start.index; i >= 0; i-- {
		j := w.state.order[i]
		if !visible(j) {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		if shown == limit {
			more = true
			break
		}
		if shown++; shown == 1 {
			out.WriteString(`{"jobs":[`)
		} else {
			out.WriteByte(',')
		}
		text, f := w.render(j.inLists(c.now), expand)
		if f != nil {
			return answer{}, f
		}
		out.Write(text)
		last = j
	}
	if shown == 0 {
		return ok(map[string]any{"has_more": false}) // there is no "jobs" at all
	}
	fmt.Fprintf(&out, `],"has_more":%t`, more)
	if more {
		token := pageToken("list", 0, int(last.seq))
		if w.o.Unverified.ListByOffset {
			token = pageToken("list", 1, start.offset+shown)
		}
		fmt.Fprintf(&out, `,"next_page_token":%q`, token)
	}
	out.WriteByte('}')
	return answer{status: 200, body: out.Bytes()}, nil
}

// cursor is where a page begins: at an index of state.order, after so many visible jobs.
type cursor struct{ index, offset int }

func (w *Workspace) listStart(c *call) (cursor, *failure) {
	start := cursor{index: len(w.state.order) - 1}
	token := c.param("page_token")
	if token == "" {
		if text := c.param("offset"); text != "" && text != "0" {
			return start, invalid("offset is deprecated; use page_token")
		}
		return start, nil
	}
	fields, f := openToken(token, "list", 2)
	if f != nil {
		return start, f
	}
	if byOffset := fields[0] == 1; byOffset {
		start.offset = fields[1]
		return start, nil
	}
	i, _ := slices.BinarySearchFunc(w.state.order, int64(fields[1]), func(j *job, seq int64) int { return int(j.seq - seq) })
	start.index = i - 1
	return start, nil
}

// render is a job as an element of a list. It is kept with the job, since jobs never change in place.
func (w *Workspace) render(j *job, expand bool) ([]byte, *failure) {
	kept := &j.listed
	if expand {
		kept = &j.expanded
	}
	if *kept != nil {
		return *kept, nil
	}
	settings, more := window(j.settings, 0)
	if !expand {
		for _, field := range []string{"tasks", "job_clusters", "environments"} {
			delete(settings, field)
		}
	}
	if w.o.Unverified.ListOmitsDefaults {
		settings = lean(settings)
	}
	delete(settings, w.o.Unverified.ListOmits)
	element := w.header(j)
	element["settings"] = settings
	if expand && more {
		element["has_more"] = true
	}
	text, err := marshal(element)
	if err != nil {
		return nil, &failure{status: 500, code: "INTERNAL_ERROR", message: err.Error()}
	}
	*kept = text
	return text, nil
}

// zeroDefaults are the numbers that are 0 where nobody sent one.
var zeroDefaults = []string{"timeout_seconds", "max_retries", "min_retry_interval_millis"}

// lean is settings without the zero values that are defaults, at the top and in tasks.
func lean(settings map[string]any) map[string]any {
	out := maps.Clone(settings)
	strip := func(object map[string]any) {
		maps.DeleteFunc(object, func(field string, v any) bool {
			nothing, isObject := v.(map[string]any)
			return slices.Contains(zeroDefaults, field) && v == json.Number("0") || isObject && len(nothing) == 0 || field == "run_if" && v == "ALL_SUCCESS"
		})
	}
	strip(out)
	if tasks, isList := out["tasks"].([]any); isList {
		stripped := make([]any, len(tasks))
		for i, t := range tasks {
			stripped[i] = t
			if object, isObject := t.(map[string]any); isObject {
				object = maps.Clone(object)
				strip(object)
				stripped[i] = object
			}
		}
		out["tasks"] = stripped
	}
	return out
}

// limitParam is the page size that a list call asks for.
func limitParam(c *call, normal, most int) (int, *failure) {
	text := c.param("limit")
	if text == "" {
		return normal, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, invalid("limit must be between 1 and %d, is %s", most, text)
	}
	return n, nil
}

// pageToken is opaque to the caller: what it pages through, and where it stands.
func pageToken(kind string, fields ...int) string {
	text := kind
	for _, n := range fields {
		text += "." + strconv.Itoa(n)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

func openToken(token, kind string, fields int) ([]int, *failure) {
	wrong := invalid("Invalid page token %q", token)
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil, wrong
	}
	parts := strings.Split(string(raw), ".")
	if len(parts) != fields+1 || parts[0] != kind {
		return nil, wrong
	}
	out := make([]int, fields)
	for i := range out {
		if out[i], err = strconv.Atoi(parts[i+1]); err != nil || out[i] < 0 || out[i] > 1<<31 {
			return nil, wrong
		}
	}
	return out, nil
}
