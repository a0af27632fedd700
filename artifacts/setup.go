package artifacts

import (
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

// setupScript is one pipeline's setup.py with the tree that it stands in.
type setupScript struct {
	Pipeline string   // folder of the pipeline in the project: "pipelines/raw_bronze"
	Source   []byte   // content of code/setup.py
	Files    []string // every regular file under code/, as sorted slash paths: "raw_bronze/pipeline.py"
}

// path names the script in messages, relative to the project.
func (s setupScript) path() string { return s.Pipeline + "/code/setup.py" }

// Setup is what one call of setup() asks for, as written there: nothing in it is checked beyond its
// type. It crosses a pipe from the process that evaluated the script, so whoever builds from it
// treats it as hostile.
type Setup struct {
	Name    string // "raw_bronze"; case and dots are kept in the wheel's file name
	Version string // "1.0"; not yet normalised; "" means that none was given

	Packages           []string            // dotted names
	Modules            []string            // py_modules, dotted names
	PackageDir         map[string]string   // folder of a package, or of the root package ""
	PackageData        map[string][]string // glob patterns by package; those of "" hold for every package
	ExcludePackageData map[string][]string
	IncludePackageData bool
	DataFiles          []DataFiles
	LicenseFiles       []string // glob patterns; nil means setuptools' own

	InstallRequires []string // requirement lines
	Extras          []Extra  // in the order of the script
	EntryPoints     []EntryPoints
	ZipSafe         bool // zip_safe=True, which leaves a marker file in the wheel

	Description     string // one line
	LongDescription string
	Keywords        []string
	Platforms       []string
	Classifiers     []string
	Fields          []Field // the remaining headers of METADATA in the order setuptools writes them
}

// DataFiles is one entry of data_files: files that are installed outside the packages.
type DataFiles struct {
	Dir   string   // relative to the installation's prefix; "" is the prefix itself
	Files []string // slash paths below code/
}

// Extra is one entry of extras_require. Its name may carry a marker: `test:python_version<"3.8"`.
type Extra struct {
	Name     string
	Requires []string // requirement lines
}

// EntryPoints is one group of entry points. The group of a text in INI form is "".
type EntryPoints struct {
	Group string
	Lines []string // "main = raw_bronze.pipeline:main"
}

// Field is one header of METADATA that is carried over as it stands.
type Field struct{ Name, Value string }

const (
	// maxSetupSource is the size of the largest setup.py that is looked at, in bytes. Generated
	// ones have about 1,000.
	maxSetupSource = 1 << 20
	// maxSetupSteps bounds the statements and calls of one script. Generated ones need some 50.
	maxSetupSteps = 1_000_000
)

// refusal is a script that asks for something that is not built here, or that is not valid.
type refusal struct {
	Line int    // 1 is the first; 0 where no line is to blame
	Text string // what is wrong
	Next string // what to do
}

func (r *refusal) Error() string {
	s := r.Text
	if r.Line > 0 {
		s = fmt.Sprintf("line %d %s", r.Line, r.Text)
	}
	if r.Next != "" {
		s += "; " + r.Next
	}
	return s
}

// evaluateSetup runs a setup.py in the Starlark interpreter, a hermetic dialect of Python: it can
// reach nothing but the names of the files given. Steps are bounded here, memory and time are
// not: a single step can allocate gigabytes. Hostile scripts therefore go through evaluateSetups.
//
// Every error is a *refusal.
func evaluateSetup(source []byte, files []string) (*Setup, error) {
	text, imports, err := translatePython(source)
	if err != nil {
		return nil, err
	}
	var setup *Setup
	record := func(th *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if setup != nil {
			return nil, &refusal{Text: "calls setup() a second time", Next: "call it once"}
		}
		if len(args) > 0 {
			return nil, &refusal{Text: "gives setup() an argument without a keyword", Next: "write it as keyword = value"}
		}
		s, err := readKeywords(kwargs, files)
		setup = s
		return starlark.None, err
	}
	thread := &starlark.Thread{Name: "setup.py", Print: func(*starlark.Thread, string) {}}
	thread.SetMaxExecutionSteps(maxSetupSteps)
	options := &syntax.FileOptions{Set: true, While: true, TopLevelControl: true, GlobalReassign: true}
	if _, err := starlark.ExecFileOptions(options, thread, "setup.py", text, predeclared(imports, record, files)); err != nil {
		return nil, explain(err, thread)
	}
	if setup == nil {
		return nil, &refusal{Text: "never calls setup()", Next: "a pipeline's setup.py calls it once, as the authoring tool generates it"}
	}
	return setup, nil
}

type builtin = func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)

// predeclared is what a script finds in its name space: what it imported, and __name__.
func predeclared(imports []importedName, setup builtin, files []string) starlark.StringDict {
	finder := func(name string, anyFolder bool) *starlark.Builtin {
		return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			return findPackages(name, anyFolder, files, args, kwargs)
		})
	}
	offered := starlark.StringDict{
		"setup":                   starlark.NewBuiltin("setup", setup),
		"find_packages":           finder("find_packages", false),
		"find_namespace_packages": finder("find_namespace_packages", true),
	}
	names := starlark.StringDict{"__name__": starlark.String("__main__")}
	for _, i := range imports {
		if i.Name == "" {
			names[i.As] = starlarkstruct.FromStringDict(starlark.String("setuptools"), offered)
		} else {
			names[i.As] = offered[i.Name]
		}
	}
	return names
}

// explain turns what the interpreter says into a refusal with a line and a next step.
func explain(err error, thread *starlark.Thread) *refusal {
	const literal = "write its value into setup.py as a literal"
	var (
		refused    *refusal
		syntaxErr  syntax.Error
		resolveErr resolve.ErrorList
		evalErr    *starlark.EvalError
	)
	switch {
	case errors.As(err, &refused):
		if errors.As(err, &evalErr) && refused.Line == 0 {
			refused.Line = scriptLine(evalErr)
		}
		return refused
	case thread.Steps >= maxSetupSteps:
		return &refusal{Text: fmt.Sprintf("does not end within %d steps", maxSetupSteps), Next: "take the endless loop out of it"}
	case errors.As(err, &syntaxErr):
		return &refusal{
			Line: int(syntaxErr.Pos.Line),
			Text: "is not understood: " + clip(syntaxErr.Msg),
			Next: "setup.py is evaluated as Starlark, a subset of Python; write it as the authoring tool does",
		}
	case errors.As(err, &resolveErr) && len(resolveErr) > 0:
		first := resolveErr[0]
		if name, ok := strings.CutPrefix(first.Msg, "undefined: "); ok {
			name, _, _ = strings.Cut(name, " ")
			return &refusal{Line: int(first.Pos.Line), Text: "uses " + clip(name) + ", which is not there: setup.py can reach nothing outside itself", Next: literal}
		}
		return &refusal{Line: int(first.Pos.Line), Text: "is not understood: " + clip(first.Msg), Next: literal}
	case errors.As(err, &evalErr):
		return &refusal{Line: scriptLine(evalErr), Text: "stops with: " + clip(evalErr.Msg), Next: literal}
	}
	return &refusal{Text: "stops with: " + clip(err.Error()), Next: literal}
}

// scriptLine is the innermost line of the script itself on the stack of an error.
func scriptLine(err *starlark.EvalError) int {
	for i := range err.CallStack {
		if pos := err.CallStack.At(i).Pos; pos.Filename() == "setup.py" && pos.Line > 0 {
			return int(pos.Line)
		}
	}
	return 0
}

// clip shortens text that came from a repository to one line that a person reads.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(s); len(r) > 120 {
		return string(r[:120]) + "..."
	}
	return s
}
