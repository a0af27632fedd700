package reconciler

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// shop is a project as its author means it. What a release of it must come to on a fabric follows from this
// alone, and from nothing that Selvage computes.
type shop struct {
	pipelines map[string]shopPipeline // by folder below pipelines
	jobs      map[string]shopJob      // by folder below jobs
}

type shopPipeline struct {
	name   string // in pbt_project.yml and setup.py: the wheel is named so
	module string // Python package
	code   string // a line of its pipeline.py
	broken bool   // its setup.py asks for what no wheel is built from
}

type shopJob struct {
	name    string
	runs    []string // folders of pipelines, a task each, one after the other
	fabric  int      // the authoring tool's id of the fabric
	retries int
	broken  bool // its definition was cut off
}

// wheel is what a wheel follows from: two of one text are the same file.
func (p shopPipeline) wheel() string { return p.name + "\n" + p.module + "\n" + p.code }

// meaning is what must not differ between git and the fabric: two jobs of one text are the same job.
func (p shop) meaning(j shopJob) string {
	text := fmt.Sprintln(j.name, j.retries)
	for _, run := range j.runs {
		text += p.pipelines[run].wheel() + "\n"
	}
	return text
}

// deployable reports that nothing of the job is broken.
func (p shop) deployable(j shopJob) bool {
	return !j.broken && !slices.ContainsFunc(j.runs, func(run string) bool { return p.pipelines[run].broken })
}

func (p shop) clone() shop { return shop{maps.Clone(p.pipelines), maps.Clone(p.jobs)} }

// pipeline and job change one entry; a folder that is not there yet is added.
func (p shop) pipeline(folder string, change func(*shopPipeline)) {
	x := p.pipelines[folder]
	change(&x)
	p.pipelines[folder] = x
}

func (p shop) job(folder string, change func(*shopJob)) {
	j := p.jobs[folder]
	change(&j)
	p.jobs[folder] = j
}

// movePipeline gives a pipeline another folder, as the authoring tool does: jobs that run it name the new one.
func (p shop) movePipeline(from, to string) {
	p.pipelines[to] = p.pipelines[from]
	delete(p.pipelines, from)
	for folder, j := range p.jobs {
		j.runs = slices.Clone(j.runs)
		for i, run := range j.runs {
			if run == from {
				j.runs[i] = to
			}
		}
		p.jobs[folder] = j
	}
}

func (p shop) moveJob(from, to string) {
	p.jobs[to] = p.jobs[from]
	delete(p.jobs, from)
}

// write makes the work tree dir hold the project at this version, and nothing else but its .git.
func (p shop) write(dir, version string) error {
	old, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range old {
		if e.Name() != ".git" {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	for name, text := range p.files(version) {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (p shop) files(version string) map[string]string {
	files := map[string]string{}
	yml := "name: Shop\nversion: " + version + "\nlanguage: python\nbuildSystem: ''\npipelines:"
	for _, folder := range slices.Sorted(maps.Keys(p.pipelines)) {
		x := p.pipelines[folder]
		yml += fmt.Sprintf("\n  pipelines/%s:\n    name: %s\n    mode: batch\n    language: python", folder, x.name)
		code := "pipelines/" + folder + "/code/"
		files[code+"setup.py"] = x.setup()
		files[code+".prophecy/workflow.latest.json"] = "{ }\n"
		files[code+x.module+"/__init__.py"] = ""
		files[code+x.module+"/pipeline.py"] = "def main():\n    " + x.code + "\n"
		files[code+"configs/resources/config/__init__.py"] = ""
		files[code+"configs/resources/config/default.json"] = "{ }\n"
		files[code+"configs/resources/config/prod.json"] = "{ }\n"
	}
	yml += "\njobs:"
	if len(p.jobs) == 0 {
		yml += " {}"
	}
	for _, folder := range slices.Sorted(maps.Keys(p.jobs)) {
		j := p.jobs[folder]
		yml += fmt.Sprintf("\n  jobs/%s:\n    name: %s\n    fabricUID: %d\n    scheduler:\n      Databricks: {}\n    enabled: false", folder, j.name, j.fabric)
		text := p.definition(folder, j)
		if j.broken {
			text = text[:len(text)/2]
		}
		files["jobs/"+folder+"/code/databricks-job.json"] = text
	}
	files["pbt_project.yml"] = yml + "\n"
	return files
}

func (p shopPipeline) setup() string {
	build := "find_packages(include = ('" + p.module + "*', )) + ['prophecy_config_instances']"
	if p.broken {
		build = "open('packages.txt').read().split()"
	}
	return fmt.Sprintf(`from setuptools import setup, find_packages
setup(
    name = '%s',
    version = '1.0',
    packages = %s,
    package_dir = {'prophecy_config_instances' : 'configs/resources/config'},
    package_data = {'prophecy_config_instances' : ['*.json', '*.py', '*.conf']},
    description = 'workflow',
    install_requires = ['prophecy-libs==2.1.16'],
    entry_points = {'console_scripts' : ['main = %s.pipeline:main'], },
    data_files = [(".prophecy", [".prophecy/workflow.latest.json"])],
)
`, p.name, build, p.module)
}

// artifactPath is where the authoring tool would put the wheel of a pipeline.
func (p shopPipeline) artifactPath() string {
	return "dbfs:/FileStore/prophecy/artifacts/saas/app/__PROJECT_ID_PLACEHOLDER__/__PROJECT_RELEASE_VERSION_PLACEHOLDER__/pipeline/" + p.name + "-1.0-py3-none-any.whl"
}

func (p shop) definition(folder string, j shopJob) string {
	var components, tasks []string
	for i, run := range j.runs {
		x := p.pipelines[run]
		components = append(components, fmt.Sprintf(`{
    "PipelineComponent" : {
      "path" : %q,
      "nodeName" : %q,
      "id" : "%s$$%d",
      "language" : "python",
      "pipelineId" : "pipelines/%s"
    }
  }`, x.artifactPath(), x.module, folder, i, run))
		after := ""
		if i > 0 {
			after = fmt.Sprintf(`
      "depends_on" : [ {
        "task_key" : %q
      } ],`, p.pipelines[j.runs[i-1]].module)
		}
		tasks = append(tasks, fmt.Sprintf(`{
      "task_key" : %[1]q,%[2]s
      "job_cluster_key" : "small",
      "python_wheel_task" : {
        "package_name" : %[3]q,
        "entry_point" : "main",
        "parameters" : [ "-i", "default", "-O", "{}" ]
      },
      "libraries" : [ {
        "pypi" : {
          "package" : "prophecy-libs==2.1.16"
        }
      }, {
        "whl" : %[4]q
      } ],
      "max_retries" : %[5]d,
      "email_notifications" : { }
    }`, x.module, after, x.name, x.artifactPath(), j.retries))
	}
	return fmt.Sprintf(`{
  "fabric_id" : "%[1]d",
  "components" : [ %[2]s ],
  "request" : {
    "format" : "MULTI_TASK",
    "name" : %[3]q,
    "job_clusters" : [ {
      "job_cluster_key" : "small",
      "new_cluster" : {
        "spark_version" : "15.4.x-scala2.12",
        "node_type_id" : "m5d.large",
        "num_workers" : 1,
        "custom_tags" : {
          "release" : "__PROJECT_FULL_RELEASE_TAG_PLACEHOLDER__"
        },
        "spark_conf" : {
          "spark.prophecy.metadata.job.uri" : "__PROJECT_ID_PLACEHOLDER__/jobs/%[4]s",
          "spark.prophecy.metadata.job.branch" : "__PROJECT_RELEASE_VERSION_PLACEHOLDER__",
          "spark.prophecy.execution.service.url" : "__PROPHECY_URL_PLACEHOLDER__/execution/eventws"
        }
      }
    } ],
    "email_notifications" : { },
    "tasks" : [ %[5]s ],
    "max_concurrent_runs" : 1
  },
  "cluster_mode" : {
    "clusterMode" : "Single"
  }
}
`, j.fabric, strings.Join(components, ", "), j.name, folder, strings.Join(tasks, ", "))
}
