package databricks

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
)

// The arguments of a task by which the tool's library finds configurations: the name of an instance inside the
// artifact, the file of one, and of the project's own the instance and the folder, plain or in JSON by the id
// of each project.
const (
	instanceFlag        = "-i"
	fileFlag            = "-f"
	projectInstanceFlag = "-pi"
	projectFolderFlag   = "-pc"
	projectFoldersFlag  = "-pj"
)

// argument is a flag among the parameters of a task, with the value that follows it.
type argument struct {
	flag, value string
	at          *spot // of the value
	list        []any // the parameters
	i           int   // of the value among them
}

// argumentsOf are all pairs of a text and the text that follows it; which of them are flags is for the
// caller to know.
func argumentsOf(t task) []argument {
	var found []argument
	for _, kind := range []string{"python_wheel_task", "spark_jar_task", "spark_python_task", "spark_submit_task"} {
		runs, _ := t.settings[kind].(map[string]any)
		list, _ := runs["parameters"].([]any)
		at := t.at.member(kind).member("parameters")
		for i := 0; i+1 < len(list); i++ {
			flag, ok := list[i].(string)
			value, also := list[i+1].(string)
			if ok && also {
				found = append(found, argument{flag, value, at.element(i + 1), list, i + 1})
			}
		}
	}
	return found
}

// pipelineTasks are the components of the tasks of a request that run a pipeline, by their place among all
// tasks: those whose libraries have its artifact, or whose name it has. It looks for committed paths.
func (d *draft) pipelineTasks(tasks []task) map[int]*artifacts.Component {
	found := map[int]*artifacts.Component{}
	var listed []*route
	of := map[*route]*artifacts.Component{}
	for i := range d.job.Components {
		c := &d.job.Components[i]
		if from, ok := newCommitted(c.Path); ok && c.Kind == artifacts.PipelineComponent {
			r := &route{from: from}
			listed, of[r] = append(listed, r), c
		}
	}
	all := newRoutes(listed...)
	for i, t := range tasks {
		walk(nil, t.settings["libraries"], func(_ *spot, s string) string {
			for _, r := range all.mentioned(s) {
				if found[i] == nil {
					found[i] = of[r]
				}
			}
			return s
		})
		for k := range d.job.Components {
			c := &d.job.Components[k]
			if found[i] == nil && c.Kind == artifacts.PipelineComponent && c.NodeName != "" && c.NodeName == t.key() {
				found[i] = c
			}
		}
	}
	return found
}

// configurations adds the configurations that tasks read from files at run time.
func (f *filing) configurations() {
	tasks := tasksOf(f.d.at, f.d.request)
	runs := f.d.pipelineTasks(tasks)
	for i, t := range tasks {
		arguments := argumentsOf(t)
		instance := "default"
		for _, a := range arguments {
			if a.flag == projectInstanceFlag {
				instance = a.value
			}
		}
		for _, a := range arguments {
			switch a.flag {
			case fileFlag:
				f.configuration(a, runs[i])
			case projectFolderFlag:
				f.projectFolder(a.at, a.value, instance)
			case projectFoldersFlag:
				var folders map[string]string
				if json.Unmarshal([]byte(a.value), &folders) != nil {
					folders = map[string]string{"": a.value}
					if strings.HasPrefix(strings.TrimSpace(a.value), "{") {
						f.d.block(configs.JobBroken, a.at, `expected {"ID OF A PROJECT": "FOLDER"}`)
					}
				}
				for _, id := range slices.Sorted(maps.Keys(folders)) {
					f.projectFolder(a.at, folders[id], instance)
				}
			}
		}
	}
}

// configuration adds the file that follows -f, where it is one of this project's for a subscribed pipeline.
// Where it is another project's it has to be on the fabric; a file that is not the tool's is whose it is.
func (f *filing) configuration(a argument, c *artifacts.Component) {
	from, ok := newCommitted(a.value)
	name, isJSON := strings.CutSuffix(path.Base(a.value), ".json")
	if !ok || !isJSON {
		return
	}
	owner := f.configured(from, c)
	if known := f.find(owner, name); known != nil {
		if known.Blocked != nil {
			f.unread(a.at, *known.Blocked)
			return
		}
		f.addText(a.at, a.value, f.configurationFile(*known))
		return
	}
	switch {
	case !from.inTool():
	case owner == "" && !f.ours(from):
		f.add(a.at, &route{from: from, as: "outside", outside: true})
	default:
		f.d.block(configs.InstanceMissing, a.at, fmt.Sprintf("%q is not among the configurations that the project lists for subscribed pipelines", shorten(a.value, mostOfKey)))
	}
}

// unread blocks the job for a configuration whose content is not known.
func (f *filing) unread(at *spot, why configs.Finding) {
	f.d.block(why.Code, at, why.Subject+": "+strings.TrimPrefix(why.Text, why.Code.Sentence()+": "))
}

func (f *filing) configurationFile(c artifacts.Configuration) file {
	return file{name: c.Name + ".json", content: string(c.Content), language: "json", subject: c.File,
		line: func(n int) string { return fmt.Sprintf("line %d", n) }}
}

// configured is the pipeline that a file configures, as pbt_project.yml names it: by the folder of the file,
// .../configurations/PIPELINE, or by the component of the task that names it.
func (n *rendering) configured(from committed, c *artifacts.Component) string {
	dir := path.Dir("/" + from.key())
	for _, known := range n.configurations {
		if known.Owner == artifacts.ProjectConfiguration {
			continue
		}
		if owner := path.Clean("/" + known.Owner); strings.HasSuffix(dir, "/configurations"+owner) {
			return known.Owner
		}
	}
	if c == nil || c.Subscribed == nil {
		return ""
	}
	if folder, ok := newCommitted(c.ConfigPath); !from.inTool() && !(ok && from.below(folder)) {
		return ""
	}
	for _, known := range n.configurations {
		s := c.Subscribed
		if known.Owner == c.PipelineID || s.ProjectID != "" && known.Owner == s.ProjectID+"/"+s.Pipeline {
			return known.Owner
		}
	}
	return ""
}

func (n *rendering) find(owner, name string) *artifacts.Configuration {
	for i, c := range n.configurations {
		if owner != "" && c.Owner == owner && c.Name == name {
			return &n.configurations[i]
		}
	}
	return nil
}

// ours reports that a path of the tool's store is of this project. A path that does not say is.
func (f *filing) ours(from committed) bool {
	id := from.project()
	return id == "" || f.own[id]
}

// projectFolder adds the folder of the project's own configurations, with all of them: which one a task reads
// it decides itself, by the instance or by others that the instance is based on. The folder of another project has
// to be on the fabric, with the instance in it.
func (f *filing) projectFolder(at *spot, p, instance string) {
	from, ok := newFolder(p)
	if !ok || !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "dbfs:/") || !from.inTool() {
		return
	}
	if !f.ours(from) {
		f.d.needs(fabric.OutsideFile, f.filled(f.d, at, from.file(instance+".json").onFabric()))
		return
	}
	t := &text{set: true}
	names := map[string]bool{}
	for _, c := range f.rendering.configurations {
		if c.Owner != artifacts.ProjectConfiguration {
			continue
		}
		if c.Blocked != nil {
			f.unread(at, *c.Blocked)
			return
		}
		file := f.configurationFile(c)
		file.kept = true // it is found by its name
		t.files = append(t.files, file)
		names[c.Name] = true
	}
	if !names[instance] {
		f.d.block(configs.InstanceMissing, at, fmt.Sprintf("the project has no %s.json under %s", shorten(instance, mostOfKey), artifacts.ProjectConfiguration))
		return
	}
	slices.SortFunc(t.files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	folder := &route{from: from, as: artifacts.ProjectConfiguration, text: t, file: -1}
	if known := f.byKey[from.key()]; known != nil {
		t = known.text
	}
	f.add(at, folder)
	if t != folder.text {
		return
	}
	f.texts = append(f.texts, t)
	for i, file := range t.files {
		f.add(at, &route{from: from.file(file.name), as: artifacts.ProjectConfiguration, text: t, file: i})
	}
}
