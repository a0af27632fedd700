package reconciler

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// story is a shop, the remote it is pushed to, and the workspace it is released to.
type story struct {
	*site
	shop     shop
	released map[string]shop   // by version
	fabric   map[string]held   // by folder of the job
	uploaded map[string]bool   // wheels
	ids      map[int64]bool    // every job id that there was
	moves    map[string]string // folders of jobs that the configuration says moved
	total    writes
	requests int
}

// held is a job that the fabric holds.
type held struct {
	job       shopJob
	pipelines []shopPipeline // that its tasks run
	meaning   string
	version   string // of the release that wrote it last
	managed   bool   // false once its definition went to another fabric
	missed    bool   // it was not in the release before, and stayed because of the budget
	id        int64  // 0 until it was seen
}

// writes are requests that change the workspace.
type writes struct{ create, update, delete, upload int }

// due is what a release takes.
type due struct {
	writes
	dropped    []string // jobs that are deleted, because they were missed twice
	missed     []string // those among them that were missed once before this step's second round
	overBudget bool
	blocked    int // jobs that are left as they are, because they are broken or over the budget
}

const shopFabric, shopBudget = 4004, 2

// goesTo says what the fabric holds once a release is live, and the writes that takes. These are the rules,
// in short: what means the same is not written; what is broken stays as it is; what went to another fabric is
// left alone; what moved is the same job; what is gone from git is deleted, but never more than the budget at once; a
// wheel is sent once.
func (st *story) goesTo(p shop, version string) (map[string]held, due) {
	next, d := map[string]held{}, due{}
	now := maps.Clone(st.fabric)
	for from, to := range st.moves {
		_, old := p.jobs[from]
		if h, held := now[from]; held && !old && now[to].meaning == "" {
			h.meaning = "" // the key stands on the job, so that it takes a request
			delete(now, from)
			now[to] = h
		}
	}
	for folder, h := range now {
		if _, there := p.jobs[folder]; !there && h.managed {
			d.dropped = append(d.dropped, folder)
		}
		next[folder] = h
	}
	d.delete = len(d.dropped)
	for _, folder := range d.dropped {
		h := next[folder]
		if !h.missed {
			d.missed = append(d.missed, folder)
		}
		h.missed = true
		next[folder] = h
	}
	if d.overBudget = d.delete > shopBudget; d.overBudget {
		d.blocked, d.delete, d.dropped, d.missed = d.delete, 0, nil, nil
	}
	for folder, j := range p.jobs {
		h, held := next[folder]
		switch {
		case j.fabric != shopFabric:
			h.managed = false
		case !p.deployable(j):
			d.blocked++
		case !held:
			h, d.create = st.wrote(p, j, version, &d), d.create+1
		case h.meaning != p.meaning(j):
			id := h.id
			h, d.update = st.wrote(p, j, version, &d), d.update+1
			h.id = id
		default:
			h.managed, h.missed = true, false
		}
		if held || h.meaning != "" {
			next[folder] = h
		}
	}
	return next, d
}

// wrote is a job as a release writes it, with the wheels that have to be there before it.
func (st *story) wrote(p shop, j shopJob, version string, d *due) held {
	h := held{job: j, meaning: p.meaning(j), version: version, managed: true}
	for _, run := range j.runs {
		x := p.pipelines[run]
		h.pipelines = append(h.pipelines, x)
		if !st.uploaded[x.wheel()] {
			st.uploaded[x.wheel()] = true
			d.upload++
		}
	}
	return h
}

// written counts the requests of this step that change the workspace.
func (st *story) written() writes {
	w := writes{
		create: st.workspace.Count("POST /api/2.2/jobs/create"), update: st.workspace.Count("POST /api/2.2/jobs/reset"),
		delete: st.workspace.Count("POST /api/2.2/jobs/delete"), upload: st.workspace.Count("POST /api/2.0/workspace/import"),
	}
	if all := st.workspace.Count("POST *") - st.workspace.Count("POST /api/2.0/workspace/mkdirs"); all != w.create+w.update+w.delete+w.upload {
		st.t.Errorf("%d requests change something, and %+v are known", all, w)
	}
	return w
}

// liveJob is what is looked at of a live job.
type liveJob struct {
	Name     string            `json:"name"`
	Tags     map[string]string `json:"tags"`
	Clusters []struct {
		Cluster struct {
			Conf map[string]string `json:"spark_conf"`
			Tags map[string]string `json:"custom_tags"`
		} `json:"new_cluster"`
	} `json:"job_clusters"`
	Tasks []liveTask `json:"tasks"`
}

type liveTask struct {
	Key     string `json:"task_key"`
	Retries int    `json:"max_retries"`
	After   []struct {
		Key string `json:"task_key"`
	} `json:"depends_on"`
	Wheel struct {
		Package    string   `json:"package_name"`
		Parameters []string `json:"parameters"`
	} `json:"python_wheel_task"`
	Libraries []struct {
		Whl string `json:"whl"`
	} `json:"libraries"`
}

// holds checks that the fabric holds exactly these jobs, each once, each as its release says, and under the id that
// it always had.
func (st *story) holds(when string, want map[string]held) {
	st.t.Helper()
	got, expected := map[string]string{}, map[string]string{}
	for _, j := range st.workspace.Jobs() {
		var live liveJob
		if err := json.Unmarshal(j.Settings, &live); err != nil {
			st.t.Fatal(err)
		}
		if strings.Contains(string(j.Settings), "_PLACEHOLDER__") || strings.Contains(string(j.Settings), "service.url") {
			st.t.Errorf("%s: %q holds what belongs to the authoring tool: %s", when, j.Name, j.Settings)
		}
		folder := strings.TrimPrefix(live.Clusters[0].Cluster.Conf["spark.prophecy.metadata.job.uri"], "3224/jobs/")
		if got[folder] != "" {
			st.t.Errorf("%s: jobs/%s is there twice", when, folder)
		}
		h, held := want[folder]
		if h.id == 0 && held {
			if st.ids[j.ID] {
				st.t.Errorf("%s: jobs/%s is new and has the id of a job that was there before", when, folder)
			}
			h.id = j.ID
			want[folder], st.ids[j.ID] = h, true
		}
		got[folder] = st.described(j.ID, live)
	}
	for folder, h := range want {
		expected[folder] = h.described()
	}
	if diff := cmp.Diff(expected, got); diff != "" {
		st.t.Errorf("%s: the fabric does not hold what the release says (-want +got):\n%s", when, diff)
	}
}

// described is a job in the words of the shop, as it must be.
func (h held) described() string {
	var tasks []string
	for i, x := range h.pipelines {
		after := ""
		if i > 0 {
			after = " after " + h.pipelines[i-1].module
		}
		tasks = append(tasks, fmt.Sprintf("\n  %s%s, %d retries, runs %s with -i prod: %s", x.module, after, h.job.retries, x.name, x.contents()))
	}
	slices.Sort(tasks) // a workspace gives them by their keys
	return fmt.Sprintf("job %d %q of Shop/%s (%s), env prod", h.id, h.job.name, h.version, h.version) + strings.Join(tasks, "")
}

// contents is what its wheel holds.
func (p shopPipeline) contents() string {
	return fmt.Sprintf("%s-1.0-py3-none-any.whl with %s/pipeline.py: %s", p.name, p.module, p.code)
}

// described is the same of a live job, as it is. The wheels are read from where the job finds them.
func (st *story) described(id int64, live liveJob) string {
	c := live.Clusters[0].Cluster
	text := fmt.Sprintf("job %d %q of %s (%s), env %s", id, live.Name, c.Tags["release"], c.Conf["spark.prophecy.metadata.job.branch"], live.Tags["env"])
	for _, t := range live.Tasks {
		after := ""
		for _, a := range t.After {
			after += " after " + a.Key
		}
		text += fmt.Sprintf("\n  %s%s, %d retries, runs %s with %s:", t.Key, after, t.Retries, t.Wheel.Package, strings.Join(t.Wheel.Parameters[:2], " "))
		for _, l := range t.Libraries {
			if l.Whl != "" {
				text += " " + st.wheel(l.Whl, t.Key)
			}
		}
	}
	return text
}

// wheel reads a wheel from the workspace and says what is in it. Its folder must be named after its digest.
func (st *story) wheel(file, module string) string {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "http://workspace/api/2.0/workspace/export?direct_download=true&format=AUTO&path="+url.QueryEscape(file), nil)
	r.Header.Set("Authorization", "Bearer canary-token-1")
	st.workspace.ServeHTTP(w, r)
	if w.Code != 200 {
		return fmt.Sprintf("%s: %d %s", file, w.Code, w.Body)
	}
	content := w.Body.Bytes()
	if sum := sha256.Sum256(content); path.Base(path.Dir(file)) != hex.EncodeToString(sum[:]) {
		return file + " has another digest: " + hex.EncodeToString(sum[:])
	}
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return err.Error()
	}
	f, err := z.Open(module + "/pipeline.py")
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	code, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s with %s/pipeline.py: %s", path.Base(file), module, strings.TrimSpace(strings.TrimPrefix(string(code), "def main():\n")))
}
