package databricks

import (
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

const notebookSource = "# Databricks notebook source\nprint(1)\n"

// notebookBlob is a notebook that is to lie below a folder.
func notebookBlob(t *testing.T, r *rig, content, language string) fabric.Blob {
	t.Helper()
	b := blobIn(t, r.store, []byte(content), roots[0])
	b.Name, b.Notebook = "clean", language
	b.Path = path.Join(path.Dir(b.Path), "notebook", b.Name)
	return b
}

// kind is what the workspace holds at a path.
func (r *rig) kind(t *testing.T, p string) string {
	t.Helper()
	var status struct {
		Type     string `json:"object_type"`
		Language string `json:"language"`
	}
	if err := r.w.get(t.Context(), statusPath, map[string]any{"path": p}, &status); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(status.Type + " " + status.Language)
}

// TestUploadNotebooks: a notebook becomes one of its language, once, whatever the workspace says of its size; and a
// source that is to stay a file does, also where it begins like a notebook.
func TestUploadNotebooks(t *testing.T) {
	for _, sizes := range []bool{false, true} {
		for language, content := range map[string]string{
			"PYTHON": notebookSource, "SQL": "-- Databricks notebook source\n", "SCALA": "// Databricks notebook source\n", "R": notebookSource,
			"JUPYTER": `{"cells": [], "nbformat": 4}`, "PYTHON large": notebookSource + strings.Repeat("#", maxJSONImport),
		} {
			t.Run(fmt.Sprint(language, sizes), func(t *testing.T) {
				r := overTCP(t, emulator.Options{Unverified: emulator.Unverified{NotebookSizes: sizes}}, Options{})
				language, _, _ := strings.Cut(language, " ")
				b := notebookBlob(t, r, content, language)
				if o := r.w.Do(t.Context(), uploading(b), r.journal); o.Status != fabric.Done {
					t.Fatalf("%+v", o)
				}
				want := "NOTEBOOK " + strings.Replace(language, "JUPYTER", "PYTHON", 1)
				if got := r.kind(t, b.Path); got != want {
					t.Errorf("%s, want %s", got, want)
				}
				again, err := New(Options{Name: "again", Config: pat(r.w.host, token), Blobs: r.store})
				if err != nil {
					t.Fatal(err)
				}
				defer again.Close()
				r.e.ResetJournal()
				if o := again.Do(t.Context(), uploading(b), r.journal); o.Status != fabric.Done || r.e.Count("*") != 1 || len(r.journal.intents) != 1 {
					t.Errorf("after a restart: %+v, %v", o, r.e.Requests())
				}
				file := blobIn(t, r.store, []byte(content), roots[0])
				file.Name = "clean" + map[string]string{"PYTHON": ".py", "SQL": ".sql", "SCALA": ".scala", "R": ".r", "JUPYTER": ".ipynb"}[language]
				file.Path = path.Join(path.Dir(file.Path), file.Name)
				if o := r.w.Do(t.Context(), uploading(file), r.journal); o.Status != fabric.Done || r.kind(t, file.Path) != "FILE" {
					t.Errorf("%+v, %s", o, r.kind(t, file.Path))
				}
			})
		}
	}
}

func TestUploadNotebookFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		fault emulator.Fault
		want  fabric.Status
	}{
		"answer lost":   {emulator.Fault{After: true, Close: true}, fabric.Done},
		"500 after":     {emulator.Fault{After: true, Status: 500}, fabric.Done},
		"closed before": {emulator.Fault{Close: true}, fabric.Later},
		"500 before":    {emulator.Fault{Status: 500}, fabric.Later},
		"429":           {emulator.Fault{Status: 429}, fabric.Later},
		"403":           {emulator.Fault{Status: 403}, fabric.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
				b := notebookBlob(t, r, notebookSource, "PYTHON")
				tt.fault.Pattern = "POST " + importPath
				r.e.Fault(tt.fault)
				o := r.w.Do(t.Context(), uploading(b), r.journal)
				if o.Status != tt.want || len(r.journal.open) != 0 {
					t.Errorf("%+v, %d intents open", o, len(r.journal.open))
				}
				r.e.ClearFaults()
				if tt.want == fabric.Later {
					time.Sleep(time.Until(o.Again))
					if o := r.w.Do(t.Context(), uploading(b), r.journal); o.Status != fabric.Done || r.kind(t, b.Path) != "NOTEBOOK PYTHON" {
						t.Errorf("the next time: %+v", o)
					}
				}
			})
		})
	}
	inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
		b := notebookBlob(t, r, notebookSource, "PYTHON")
		// Another process is faster between our look and our request.
		r.e.Fault(emulator.Fault{Pattern: "POST " + importPath, Hook: func() {
			r.e.ClearFaults()
			other, err := New(Options{Name: "other", Config: pat(r.w.host, token), Blobs: r.store, Transport: r.w.base})
			if err != nil {
				t.Error(err)
				return
			}
			defer other.Close()
			if o := other.Do(t.Context(), uploading(b), r.journal); o.Status != fabric.Done {
				t.Errorf("the other: %+v", o)
			}
		}})
		if o := r.w.Do(t.Context(), uploading(b), r.journal); o.Status != fabric.Done {
			t.Errorf("%+v", o)
		}
		// A file lies where the notebook belongs.
		taken := notebookBlob(t, r, notebookSource+"#", "PYTHON")
		if err := r.e.SetFile(taken.Path, []byte("theirs")); err != nil {
			t.Fatal(err)
		}
		if o := r.w.Do(t.Context(), uploading(taken), r.journal); o.Status == fabric.Done || o.Err == nil || !strings.Contains(o.Err.Error(), "move it away") {
			t.Errorf("%+v", o)
		}
		// The store lost it.
		gone := notebookBlob(t, r, notebookSource+"##", "PYTHON")
		gone.SHA256 = strings.Repeat("0", 64)
		if o := r.w.Do(t.Context(), uploading(gone), r.journal); o.Status != fabric.Later || r.kind(t, gone.Path) == "NOTEBOOK PYTHON" {
			t.Errorf("%+v", o)
		}
		volume := b
		volume.Path = roots[1] + "/clean"
		if o := r.w.Do(t.Context(), uploading(volume), r.journal); o.Status != fabric.Refused {
			t.Errorf("in a volume: %+v", o)
		}
	})
}

// Two dbt projects have files of one name in folders of one name: each is uploaded.
func TestStepsOfFolders(t *testing.T) {
	var c fabric.Change
	c.Key, c.Action = "jobs/a", fabric.Create
	for _, sum := range []string{strings.Repeat("a", 64), strings.Repeat("b", 64)} {
		for _, name := range []string{"models/x.sql", "models/deep/x.sql", "x.sql"} {
			c.Blobs = append(c.Blobs, fabric.Blob{Name: "x.sql", Path: path.Join(roots[0], sum, name)})
		}
	}
	c.Blobs = append(c.Blobs, fabric.Blob{Name: "x.sql", Path: path.Join(roots[1], strings.Repeat("a", 64), "x.sql")})
	steps := (&Workspace{}).Steps([]fabric.Change{c})
	ids := map[string]bool{}
	for _, s := range steps {
		ids[s.ID] = true
	}
	if len(ids) != 8 || len(steps) != 8 || len(steps[7].After) != 7 || !ids["upload aaaaaaaaaaaa/models/deep/x.sql"] {
		t.Errorf("%v", ids)
	}
}

func TestImportAs(t *testing.T) {
	for b, want := range map[*fabric.Blob]string{
		{Name: "a.whl"}: "AUTO ", {Name: "a.jar"}: "AUTO ", {Name: "a.py"}: "RAW ", {Name: "a.py", Content: []byte("x")}: "RAW ",
		{Name: "a", Notebook: "SQL"}: "SOURCE SQL", {Name: "a", Notebook: "JUPYTER"}: "JUPYTER ", {Name: "a.whl", Notebook: "R"}: "SOURCE R",
	} {
		format, language := importAs(*b)
		if got := format + " " + language; got != want {
			t.Errorf("%+v: %s, want %s", *b, got, want)
		}
	}
}
