package databricks

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"selvage/fabric"
	"selvage/fabric/databricks/emulator"
)

var roots = []string{"/Workspace/Users/deployer@selvage.example/.selvage/artifacts", "/Volumes/main/selvage/artifacts"}

func uploading(b ...fabric.Blob) fabric.Step { return fabric.Step{ID: "upload", Blobs: b} }

func TestUploadOnce(t *testing.T) {
	for _, root := range roots {
		for _, size := range []int{0, 1000, maxJSONImport, maxJSONImport + 1} {
			t.Run(fmt.Sprintf("%s/%d", root[1:7], size), func(t *testing.T) {
				r := overTCP(t, emulator.Options{}, Options{})
				b := blobIn(t, r.store, bytes.Repeat([]byte("x"), size), root)
				if o := r.w.Do(t.Context(), uploading(b), r.journal); o.Status != fabric.Done || len(o.Results) != 0 {
					t.Fatalf("%+v", o)
				}
				if got, ok := r.e.Files()[b.Path]; !ok || got != size {
					t.Fatalf("%v", r.e.Files())
				}
				if len(r.journal.intents) != 1 || len(r.journal.open) != 0 {
					t.Errorf("%d intents, %d open", len(r.journal.intents), len(r.journal.open))
				}
				r.e.ResetJournal()
				if o := r.w.Do(t.Context(), uploading(b), r.journal); o.Status != fabric.Done || r.e.Count("*") != 0 {
					t.Errorf("the second time: %+v, %d requests", o, r.e.Count("*"))
				}
				again, err := New(Options{Name: "again", Config: pat(r.w.host, token), Blobs: r.store})
				if err != nil {
					t.Fatal(err)
				}
				defer again.Close()
				if o := again.Do(t.Context(), uploading(b), r.journal); o.Status != fabric.Done || r.e.Count("*") != 1 || len(r.journal.intents) != 1 {
					t.Errorf("after a restart: %+v, %v", o, r.e.Requests())
				}
			})
		}
	}
}

func TestUploadFaults(t *testing.T) {
	for _, root := range roots {
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
			t.Run(root[1:7]+"/"+name, func(t *testing.T) {
				inBubble(t, emulator.Options{}, Options{}, func(t *testing.T, r *rig) {
					b := blobIn(t, r.store, []byte("wheel"), root)
					tt.fault.Pattern = "POST " + importPath
					if strings.HasPrefix(root, "/Volumes/") {
						tt.fault.Pattern = "PUT " + filesPath + "*"
					}
					r.e.Fault(tt.fault)
					o := r.w.Do(t.Context(), uploading(b), r.journal)
					if o.Status != tt.want || (o.Err == nil) != (tt.want == fabric.Done) || len(r.journal.open) != 0 {
						t.Errorf("%+v, %d intents open", o, len(r.journal.open))
					}
					r.e.ClearFaults()
					if tt.want != fabric.Later {
						return
					}
					if o.Again.IsZero() == (name == "429") {
						t.Errorf("again at %s", o.Again)
					}
					time.Sleep(time.Until(o.Again))
					if o := r.w.Do(t.Context(), uploading(b), r.journal); o.Status != fabric.Done || r.e.Files()[b.Path] != 5 {
						t.Errorf("the next time: %+v, %v", o, r.e.Files())
					}
				})
			})
		}
	}
}

// TestUploadRace: somebody else uploads the same file between our look and our request.
func TestUploadRace(t *testing.T) {
	for _, root := range roots {
		for _, is400 := range []bool{false, true} {
			inBubble(t, emulator.Options{Unverified: emulator.Unverified{ExistsIs400: is400}}, Options{}, func(t *testing.T, r *rig) {
				b := blobIn(t, r.store, []byte("wheel"), root)
				other, err := New(Options{Name: "other", Config: pat(r.w.host, token), Blobs: r.store, Transport: r.w.base})
				if err != nil {
					t.Fatal(err)
				}
				defer other.Close()
				pattern := "POST " + importPath
				if strings.HasPrefix(root, "/Volumes/") {
					pattern = "PUT " + filesPath + "*"
				}
				r.e.Fault(emulator.Fault{Pattern: pattern, Hook: func() {
					r.e.ClearFaults()
					if o := other.Do(t.Context(), uploading(b), r.journal); o.Status != fabric.Done {
						t.Errorf("the other: %+v", o)
					}
				}})
				if o := r.w.Do(t.Context(), uploading(b), r.journal); o.Status != fabric.Done {
					t.Errorf("%s: %+v", root, o)
				}
				if n := r.e.Count(pattern); n != 2 {
					t.Errorf("%d uploads", n)
				}
			})
		}
	}
}

// TestUploadReplacesWhatCantBeOurs: a file of the wrong size lies at the path that our digest names.
func TestUploadReplacesWhatCantBeOurs(t *testing.T) {
	for _, root := range roots {
		r := overTCP(t, emulator.Options{}, Options{})
		b := blobIn(t, r.store, []byte("the real wheel"), root)
		forged := blobIn(t, r.store, []byte("short"), root)
		forged.Path = b.Path
		if o := r.w.Do(t.Context(), uploading(forged), r.journal); o.Err != nil {
			t.Fatal(o.Err)
		}
		if o := r.w.Do(t.Context(), uploading(b), r.journal); o.Status != fabric.Done || r.e.Files()[b.Path] != len("the real wheel") {
			t.Errorf("%+v, %v", o, r.e.Files())
		}
	}
}

// TestUploadVerifies: what the store gives is not what its name says, and nothing of it arrives.
func TestUploadVerifies(t *testing.T) {
	for _, root := range roots {
		for name, damage := range map[string]func(b *fabric.Blob, s *forgedStore){
			"other bytes": func(b *fabric.Blob, s *forgedStore) { s.content[0] ^= 1 },
			"shorter":     func(b *fabric.Blob, s *forgedStore) { s.content = s.content[:len(s.content)-1] },
			"not there":   func(b *fabric.Blob, s *forgedStore) { s.err = os.ErrNotExist },
			"unreadable":  func(b *fabric.Blob, s *forgedStore) { s.readErr = errors.New("input/output error") },
		} {
			for _, size := range []int{1000, maxJSONImport + 1000} {
				t.Run(fmt.Sprintf("%s/%s/%d", root[1:7], name, size), func(t *testing.T) {
					r := overTCP(t, emulator.Options{}, Options{})
					content := bytes.Repeat([]byte("x"), size)
					b := blobIn(t, r.store, content, root)
					s := &forgedStore{content: content}
					damage(&b, s)
					r.w.blobs = s
					o := r.w.Do(t.Context(), uploading(b), r.journal)
					if o.Status != fabric.Later || !errors.Is(o.Err, errBlob) || len(r.journal.open) != 0 {
						t.Errorf("%+v", o)
					}
					if files := r.e.Files(); len(files) > 0 {
						t.Errorf("it has arrived: %v", files)
					}
				})
			}
		}
	}
}

// forgedStore is a folder that somebody damaged, on a disk that fails.
type forgedStore struct {
	content      []byte
	err, readErr error
}

func (s *forgedStore) Open(string) (io.ReadSeekCloser, error) {
	if s.err != nil {
		return nil, s.err
	}
	return &forgedFile{bytes.NewReader(s.content), s.readErr}, nil
}

type forgedFile struct {
	*bytes.Reader
	err error
}

func (f *forgedFile) Read(p []byte) (int, error) {
	if f.err != nil && f.Len() < int(f.Size()) {
		return 0, f.err
	}
	return f.Reader.Read(p[:min(len(p), 100)])
}

func (f *forgedFile) Close() error { return nil }

func TestUploadStaysInItsFolder(t *testing.T) {
	r := overTCP(t, emulator.Options{}, Options{})
	b := blobIn(t, r.store, []byte("x"), "/Workspace")
	for _, p := range []string{"/Workspace/../etc/x", "/dbfs/x", "x", "", "/Workspace/a//b", filepath.Join("/Users", "x")} {
		b.Path = p
		if o := r.w.Do(t.Context(), uploading(b), r.journal); o.Status != fabric.Refused {
			t.Errorf("%s: %+v", p, o)
		}
	}
	if r.e.Count("*") != 0 {
		t.Error("something was sent")
	}
}

// TestUploadContent: a file that Render made is sent from where it is, once, and only if it is what its digest
// says. One that begins like a notebook stays a file.
func TestUploadContent(t *testing.T) {
	for _, root := range roots {
		for _, content := range []string{"# Databricks notebook source\nprint(1)\n", "", strings.Repeat("x", maxJSONImport+1)} {
			t.Run(fmt.Sprintf("%s/%d", root[1:7], len(content)), func(t *testing.T) {
				r := overTCP(t, emulator.Options{}, Options{})
				sum := sha256.Sum256([]byte(content))
				b := fabric.Blob{SHA256: hex.EncodeToString(sum[:]), Name: "s.py", Size: int64(len(content)), Content: []byte(content)}
				b.Path = root + "/" + b.SHA256 + "/s.py"
				if o := r.w.Do(t.Context(), uploading(b), r.journal); o.Status != fabric.Done {
					t.Fatalf("%+v", o)
				}
				if got, ok := r.e.Files()[b.Path]; !ok || got != len(content) {
					t.Fatalf("%v", r.e.Files())
				}
				again, err := New(Options{Name: "again", Config: pat(r.w.host, token), Blobs: r.store})
				if err != nil {
					t.Fatal(err)
				}
				defer again.Close()
				if o := again.Do(t.Context(), uploading(b), r.journal); o.Status != fabric.Done || len(r.journal.intents) != 1 {
					t.Errorf("after a restart: %+v, %d intents", o, len(r.journal.intents))
				}
				if content == "" {
					return
				}
				forged := b
				forged.Content = []byte(strings.Replace(content, content[:1], "y", 1))
				forged.Path = root + "/" + b.SHA256 + "/forged.py"
				if o := r.w.Do(t.Context(), uploading(forged), r.journal); o.Status != fabric.Later || !errors.Is(o.Err, errBlob) {
					t.Errorf("forged: %+v", o)
				}
				if _, ok := r.e.Files()[forged.Path]; ok {
					t.Error("the forged file arrived")
				}
			})
		}
	}
}
