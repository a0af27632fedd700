package databricks

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"selvage/artifacts"
	"selvage/configs"
	"selvage/fabric"
)

// text is what Render makes files of: a script, a profile, a configuration, or a set of configurations that
// lie in one folder. Whether the job uses it shows only when its paths are rewritten; until then what is
// wrong with it blocks nothing.
type text struct {
	files []file
	set   bool // the files lie in one folder, which is named by all of them

	made    bool
	folder  string
	needs   []need
	problem *configs.Finding
}

// file is one file of a text.
type file struct {
	name     string           // as committed, placeholders included
	content  string           // the same
	language string           // for artifacts.Calls
	subject  string           // for findings
	line     func(int) string // names a line of it, from 1
	kept     bool             // the name has to stay as it is

	blob  fabric.Blob
	calls []artifacts.Call
}

// addText adds a text with one file that is committed at p.
func (f *filing) addText(at *spot, p string, content file) *text {
	from, ok := newCommitted(p)
	if !ok {
		return nil
	}
	content.name = from.base()
	r := &route{from: from, as: "text " + content.content, text: &text{files: []file{content}}}
	f.add(at, r)
	if known := f.byKey[from.key()]; known != r {
		return known.text
	}
	f.texts = append(f.texts, r.text)
	return r.text
}

// makeTexts makes the files, each after those that it mentions: what it holds in the end are their paths.
func (f *filing) makeTexts() {
	waits := map[*text]map[*text]bool{}
	for _, t := range f.texts {
		waits[t] = map[*text]bool{}
		for _, file := range t.files {
			for _, r := range f.routes.mentioned(file.content) {
				if r.text != nil && r.text != t {
					waits[t][r.text] = true
				}
			}
		}
	}
	for again := true; again; {
		again = false
		for _, t := range f.texts {
			if t.made || len(waits[t]) > 0 {
				continue
			}
			f.makeText(t)
			again = true
			for _, other := range waits {
				delete(other, t)
			}
		}
	}
}

func (f *filing) makeText(t *text) {
	t.made = true
	refuse := func(code configs.Code, subject, particulars string) {
		if t.problem == nil {
			found := configs.Found(code, subject, particulars)
			t.problem = &found
		}
	}
	for i := range t.files {
		file := &t.files[i]
		content := f.routes.replace(file.content, func(r *route) (string, bool) {
			if r.text == t {
				return "", false // no file holds its own digest
			}
			ours, need, problem := f.resolve(r, anyScala, file.subject)
			if problem != nil {
				if t.problem == nil {
					t.problem = problem
				}
				return "", false
			}
			t.needs = append(t.needs, need)
			return ours, ours != ""
		})
		name := file.name
		for _, s := range []*string{&content, &name} {
			filled, left := put(f.placeholders.usable, *s)
			if *s = filled; left != "" {
				code, particulars := f.placeholders.unfilled(left)
				refuse(code, file.subject, particulars)
			}
		}
		if safe := safeName(name); safe != name && file.kept {
			refuse(configs.JobBroken, file.subject, fmt.Sprintf("%q; expected a name of letters, digits, _, . and -", shorten(name, mostOfKey)))
		} else {
			name = safe
		}
		file.calls = f.calls(file.language, content)
		sum := sha256.Sum256([]byte(content))
		file.blob = fabric.Blob{SHA256: hex.EncodeToString(sum[:]), Name: name, Size: int64(len(content)), Content: []byte(content)}
	}
	t.folder = path.Join(f.Root, t.digest())
	for i := range t.files {
		t.files[i].blob.Path = path.Join(t.folder, t.files[i].blob.Name)
	}
}

// digest names the folder: the digest of the file, or of all names and digests where it is a set.
func (t *text) digest() string {
	if !t.set {
		return t.files[0].blob.SHA256
	}
	h := sha256.New()
	for _, f := range t.files {
		fmt.Fprintf(h, "%s %s\n", f.blob.SHA256, f.blob.Name)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// longestName bounds the name of a file that we make, in bytes.
const longestName = 200

// safeName is a name that no tool takes for anything but the name of a file.
func safeName(name string) string {
	safe := strings.Map(func(r rune) rune {
		if r < 0x80 && (pathByte(byte(r)) && r != '/') {
			return r
		}
		return '_'
	}, name)
	if len(safe) > longestName {
		safe = safe[len(safe)-longestName:] // its end says what kind of file it is
	}
	if strings.Trim(safe, ".") == "" {
		return "_" + safe
	}
	return safe
}

// languageOf is the language of a file for artifacts.Calls, by its name, else as its component says.
func languageOf(p, said string) string {
	switch strings.ToLower(path.Ext(p)) {
	case ".py":
		return "python"
	case ".scala":
		return "scala"
	case ".sql":
		return "sql"
	case ".yml", ".yaml":
		return "yaml"
	case ".json":
		return "json"
	case ".conf":
		return "hocon"
	}
	if said == "sql" { // of a dbt component, whose script is none
		return ""
	}
	return said
}

// script adds the script of a component, which stands inline in the job's file.
func (f *filing) script(at *spot, c artifacts.Component) *text {
	return f.addText(at.member("path"), c.Path, f.inline(at.member("content"), c.Content, languageOf(c.Path, c.Language)))
}

// inline is a file whose content is a string of the job's file.
func (f *filing) inline(at *spot, content, language string) file {
	return file{content: content, language: language, subject: f.d.subject(at), line: func(n int) string {
		return fmt.Sprintf("%s, line %d of the text", f.d.line(at), n)
	}}
}

// dbt adds the script and the profile of a component, and the secret that the script reads at run time. Its
// value is in the workspace; git has its name. The script may mention the folder of the profile instead.
func (f *filing) dbt(at *spot, c artifacts.Component) {
	script := f.script(at, c)
	if c.ProfilePath != "" || c.ProfileContent != "" {
		profile := f.addText(at.member("profilePath"), c.ProfilePath, f.inline(at.member("profileContent"), c.ProfileContent, "yaml"))
		if from, ok := newCommitted(c.ProfilePath); ok && profile != nil {
			f.pairs = append(f.pairs, pair{at.member("profilePath"), script, profile})
			folders := []committed{}
			if dir, ok := from.dir(); ok {
				folders = append(folders, dir)
			}
			if dir, ok := newFolder(c.FilesDirectory); ok && from.below(dir) {
				folders = append(folders, dir)
			}
			for _, dir := range folders {
				dir.folder = true
				f.add(at.member("componentFilesDirectory"), &route{from: dir, as: "folder of " + from.key() + " " + c.ProfileContent, text: profile, file: -1})
			}
		}
	}
	switch {
	case c.SecretKey == "":
	case f.d.job.SecretScope == "":
		f.d.block(configs.JobBroken, spotOf("secret_scope"), fmt.Sprintf("expected the scope of the secret that %s names, found none", at.member("secretKey")))
	default:
		f.d.needs(fabric.OutsideSecret, f.filled(f.d, spotOf("secret_scope"), f.d.job.SecretScope)+"/"+f.filled(f.d, at.member("secretKey"), c.SecretKey))
	}
}
