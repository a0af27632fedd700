package artifacts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"selvage/configs"
)

const honest = "from setuptools import setup, find_packages\nsetup(name = 'honest', version = '1.0', packages = find_packages())\n"

func honestScript(n int) setupScript {
	return setupScript{
		Pipeline: fmt.Sprintf("pipelines/honest%d", n),
		Source:   []byte(honest),
		Files:    []string{"honest/__init__.py", "setup.py"},
	}
}

// TestHostileScripts evaluates one release in which every second script is hostile. Each of those ends
// in one sentence with its file, line and a next step, and none costs an honest one its result.
func TestHostileScripts(t *testing.T) {
	const begin = "from setuptools import setup, find_packages\n"
	hostile := []struct {
		name, source string
		code         configs.Code
		text         string
	}{
		{"endless loop", begin + "while True:\n    pass\n", configs.SetupRefused, "does not end within 1000000 steps"},
		{"endless loop in few steps", begin + "x = []\nfor i in range(100000):\n    x = [x]\ny = str(x)\n", configs.SetupUnbounded, "did not end within 1s"},
		{"doubling list", begin + "x = ['a']\nfor i in range(60):\n    x = x + x\n", configs.SetupUnbounded, "needs more than 128 MiB"},
		{"doubling string", begin + "x = 'a'\nfor i in range(60):\n    x = x + x\n", configs.SetupUnbounded, "needs more than 128 MiB"},
		{"doubling number", begin + "x = 3\nfor i in range(60):\n    x = x * x\n", configs.SetupUnbounded, "did not end within 1s"},
		{"repeated string", begin + "x = 'a' * 1000000000\n", configs.SetupUnbounded, "needs more than 128 MiB"},
		{"repeated string beyond count", begin + "x = 'a' * 10000000000\n", configs.SetupRefused, "line 2 stops with: repeat count"},
		{"repeated list", begin + "x = [0] * 1000000000\n", configs.SetupUnbounded, "needs more than 128 MiB"},
		{"range as list", begin + "x = list(range(1000000000000))\n", configs.SetupUnbounded, "needs more than 128 MiB"},
		{"many texts", begin + "x = []\nfor i in range(9000):\n    x.append('%d' % i * 100000)\n", configs.SetupUnbounded, "needs more than 128 MiB"},
		{"recursion", begin + "def f():\n    f()\nf()\n", configs.SetupRefused, "line 3 stops with: function f called recursively"},
		{"reads a file", begin + "setup(name = 'x', packages = [], long_description = open('/etc/passwd').read())\n", configs.SetupRefused, "line 2 uses open, which is not there"},
		{"imports os", begin + "import os\nos.system('id')\n", configs.SetupRefused, "line 2 imports os"},
		{"imports indented", begin + "if True:\n    from os import path\n", configs.SetupRefused, "line 3 imports os"},
		{"loads", begin + "load('os', 'x')\n", configs.SetupRefused, "line 2 stops with"},
		{"10 MiB source", begin + strings.Repeat("# comment\n", 1<<20), configs.SetupUnbounded, "at most 1048576 are read"},
		{"nested brackets", begin + "x = " + strings.Repeat("(", 1<<19) + "\n", configs.SetupRefused, "excessive nesting"},
		{"nested operators", begin + "x = " + strings.Repeat("not ", 1<<17) + "1\n", configs.SetupRefused, "excessive nesting"},
		{"many operators", begin + "x = 1" + strings.Repeat("+1", 1<<16) + "\n", "", ""},
		{"many literals", begin + "x = " + strings.Repeat("'a' ", 1<<16) + "\n", "", ""},
		{"nested blocks", begin + nestedBlocks(2000), "", ""},
		{"called twice", begin + "setup(name = 'x', packages = [])\nsetup(name = 'y', packages = [])\n", configs.SetupRefused, "line 3 calls setup() a second time"},
		{"never called", begin, configs.SetupRefused, "never calls setup()"},
		{"called without keywords", begin + "setup('x')\n", configs.SetupRefused, "line 2 gives setup() an argument without a keyword"},
		{"empty", "", configs.SetupRefused, "never calls setup()"},
		{"not text", "\xff\xfe\x00", configs.SetupRefused, "is not UTF-8"},
		{"NUL", "x = 1\n\x00", configs.SetupRefused, "line 2 holds a NUL"},
		{"huge result", begin + "setup(name = 'x', packages = ['%d' % i * 100 for i in range(12000)])\n", configs.SetupRefused, "asks for more than fits into 4 MiB"},
		{"half a character", begin + "setup(name = 'ü'[:1], packages = [])\n", configs.SetupRefused, "line 2 gives name a string that is not UTF-8"},
		{"f-string", begin + "n = 'x'\nsetup(name = f'{n}', packages = [])\n", configs.SetupRefused, "line 3 uses an f-string"},
		{"class", begin + "class A: pass\n", configs.SetupRefused, "line 2 defines a class"},
		{"extension", begin + "setup(name = 'x', packages = [],\n  ext_modules = ['c'])\n", configs.SetupRefused, "line 2 gives setup() ext_modules, which is not built here"},
		{"unknown keyword", begin + "setup(name = 'x', packages = [], frobnicate = 1)\n", configs.SetupRefused, "gives setup() frobnicate, which is not known"},
		{"find_packages outside", begin + "find_packages('../..')\n", configs.SetupRefused, `"../.." leads out of`},
		{"exception as message", begin + "fail('a\\nb\\x1b[31m' + 'c' * 1000)\n", configs.SetupRefused, "line 2 stops with: fail: a b [31mccc"},
	}
	var scripts []setupScript
	for i, h := range hostile {
		scripts = append(scripts, setupScript{Pipeline: "pipelines/hostile", Source: []byte(h.source)}, honestScript(i))
	}
	e := evaluator{command: EvalChild()}
	defer e.stop()
	for i, s := range scripts {
		e.wall = 20 * time.Second // for machines under load
		if strings.Contains(hostile[i/2].text, "did not end within 1s") {
			e.wall = time.Second
		}
		began := time.Now()
		r, err := e.evaluate(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%-30s %5d ms", hostile[i/2].name, time.Since(began).Milliseconds())
		if i%2 == 1 {
			if r.Problem != nil {
				t.Errorf("honest script after %q: %s", hostile[i/2].name, r.Problem.Text)
			} else if r.Setup.Name != "honest" || len(r.Setup.Packages) != 1 {
				t.Errorf("honest script after %q: got %+v", hostile[i/2].name, r.Setup)
			}
			continue
		}
		h := hostile[i/2]
		p := r.Problem
		if p == nil || h.code == "" {
			if h.code != "" {
				t.Errorf("%s: evaluated to %+v", h.name, r.Setup)
			}
			continue // any end will do, as long as it is one
		}
		if p.Code != h.code || !strings.Contains(p.Text, h.text) {
			t.Errorf("%s: got %s %q; want %s %q", h.name, p.Code, p.Text, h.code, h.text)
		}
		if !strings.Contains(p.Text, "pipelines/hostile/code/setup.py") || p.Subject != "pipelines/hostile/code/setup.py" || p.Next == "" {
			t.Errorf("%s: the finding lacks its file or next step: %+v", h.name, p)
		}
		if strings.ContainsAny(p.Text+p.Next, "\n\x1b") || len(p.Text) > 400 {
			t.Errorf("%s: not one short line: %q", h.name, p.Text)
		}
	}
}

func nestedBlocks(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "if True:\n")
	}
	b.WriteString(strings.Repeat(" ", n) + "pass\n")
	return b.String()
}

// TestLargestTree: a tree of as many names as are accepted can still be evaluated.
func TestLargestTree(t *testing.T) {
	s := honestScript(0)
	for n, i := 0, 0; ; i++ {
		f := fmt.Sprintf("data/part-%08d.json", i)
		if n += len(f) + 1; n > maxTreeNames-100 {
			break
		}
		s.Files = append(s.Files, f)
	}
	slices.Sort(s.Files)
	e := evaluator{command: EvalChild(), wall: time.Minute} // for machines under load
	defer e.stop()
	for range 2 {
		if r, err := e.evaluate(t.Context(), s); err != nil || r.Problem != nil {
			t.Fatalf("%d files: %+v, %v", len(s.Files), r.Problem, err)
		}
	}
	s.Files = append(s.Files, strings.Repeat("x", 200))
	if r, err := e.evaluate(t.Context(), s); err != nil || r.Problem == nil {
		t.Errorf("one more: %+v, %v", r, err)
	}
}

// TestOneChildPerRelease: scripts that end well share one process.
func TestOneChildPerRelease(t *testing.T) {
	e := evaluator{command: EvalChild(), wall: evalWall}
	defer e.stop()
	var pid int
	for i := range 20 {
		if _, err := e.evaluate(t.Context(), honestScript(i)); err != nil {
			t.Fatal(err)
		}
		if i > 0 && e.child.command.Process.Pid != pid {
			t.Fatalf("script %d got a new process", i)
		}
		pid = e.child.command.Process.Pid
	}
}

// TestChildIsConfined reads the limits of a running child from outside.
func TestChildIsConfined(t *testing.T) {
	t.Setenv("SELVAGE_CANARY", "do not inherit")
	inherited, err := unix.FcntlInt(os.Stdout.Fd(), unix.F_DUPFD, 100) // a file without close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(inherited)
	c, err := startEvalChild(t.Context(), EvalChild())
	if err != nil {
		t.Fatal(err)
	}
	defer c.kill()
	proc := fmt.Sprintf("/proc/%d/", c.command.Process.Pid)
	environ, err := os.ReadFile(proc + "environ")
	if err != nil {
		t.Fatal(err)
	}
	if len(environ) != 0 {
		t.Errorf("the child has an environment of %d bytes", len(environ)) // its text may hold secrets
	}
	limits, err := os.ReadFile(proc + "limits")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		for name, want := range map[string]string{
			"Max cpu time": "60", "Max file size": "0", "Max core file size": "0", "Max open files": "0",
		} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				if f := strings.Fields(rest); f[0] != want || f[1] != want {
					t.Errorf("%s: got %s; want %s", name, strings.TrimSpace(rest), want)
				}
			}
		}
		if strings.HasPrefix(line, "Max data size") && strings.Contains(line, "unlimited") {
			t.Error("memory is not limited")
		}
	}
	open, err := os.ReadDir(proc + "fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		target, err := os.Readlink(proc + "fd/" + fd.Name())
		if err != nil {
			t.Fatal(err)
		}
		if len(fd.Name()) > 1 || fd.Name() > "2" {
			if strings.HasPrefix(target, "anon_inode:") || strings.HasPrefix(target, "/sys/fs/cgroup/") {
				continue // the Go runtime's own
			}
			t.Errorf("the child holds %s open as %s", target, fd.Name())
		}
	}
}

// TestEvaluatingItselfFails: what is wrong with the child, and not with a script, is an error.
func TestEvaluatingItselfFails(t *testing.T) {
	for name, child := range map[string][]string{
		"no command":       nil,
		"no such file":     {"/nonexistent/selvage", EvalChildArg},
		"ends at once":     {"/bin/true"},
		"greets otherwise": {"/bin/echo", "hello"},
		"never greets":     {"/bin/sh", "-c", "head -c 100000 /dev/zero"},
	} {
		results, err := evaluateSetups(t.Context(), child, []setupScript{honestScript(0)})
		if err == nil || results != nil {
			t.Errorf("%s: got %v, %v; want an error alone", name, results, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := evaluateSetups(ctx, EvalChild(), []setupScript{honestScript(0)}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context ended: %v", err)
	}
}

// TestLyingChild: whatever a child writes after its greeting, the parent ends with a finding.
func TestLyingChild(t *testing.T) {
	for name, after := range map[string]string{
		"not JSON":       "echo hello",
		"nothing":        "exit 0",
		"empty reply":    "echo '{}'",
		"both":           `echo '{"Setup":{},"Refusal":{}}'`,
		"unknown field":  `echo '{"Setup":{"Sneaky":1}}'`,
		"two replies":    `echo '{"Setup":{}} {"Setup":{}}'`,
		"endless line":   "cat /dev/zero",
		"says nothing":   "exec sleep 60",
		"deep JSON":      `yes '[' | tr -d '\n' | head -c 3000000; echo`,
		"half a reply":   `printf '{"Setup":{}'`,
		"does not read":  "exec sleep 60 <&-",
		"null as answer": "echo null",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := "printf '%s\\n' '" + strings.TrimSpace(string(evalGreeting)) + "'; read request; " + after
			e := evaluator{command: []string{"/bin/sh", "-c", script}, wall: time.Second}
			defer e.stop()
			s := honestScript(0)
			s.Source = append(s.Source, bytes.Repeat([]byte("#"), 300_000)...) // more than a pipe holds
			r, err := e.evaluate(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if r.Problem == nil || r.Problem.Code != configs.SetupUnbounded {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// TestPoisonedChild: a script that dies of what earlier ones left behind is tried again alone.
func TestPoisonedChild(t *testing.T) {
	flag := t.TempDir() + "/flag"
	// The first process answers once and dies at the second request; the next process answers it.
	script := "printf '%s\\n' '" + strings.TrimSpace(string(evalGreeting)) + "'; while read request; do " +
		"[ -e " + flag + " ] && [ ! -e " + flag + "2 ] && touch " + flag + "2 && exit 2; touch " + flag + `; echo '{"Setup":{"Name":"x"}}'; done`
	e := evaluator{command: []string{"/bin/sh", "-c", script}, wall: 5 * time.Second}
	defer e.stop()
	for i := range 3 {
		r, err := e.evaluate(t.Context(), honestScript(i))
		if err != nil || r.Problem != nil {
			t.Fatalf("script %d: %+v, %v", i, r.Problem, err)
		}
	}
	if _, err := os.Stat(flag + "2"); err != nil {
		t.Fatal("no process died: the test tests nothing")
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(honest), "honest/__init__.py")
	f.Add([]byte("import setuptools as s\ns.setup(name='a' 'b' % 1, packages=s.find_packages(where='x', include='[!a'))\n"), "x/é/__init__.py")
	f.Add([]byte("from setuptools import (setup,\n  find_packages as f,)\nsetup(name=u'''x''', data_files=[('a',['b']),'c'], extras_require={'a':'b'})"), "../a")
	f.Add([]byte("x = 'a\\\nb' \"c\" # d\nfrom setuptools import *; setup(**{'name': x})"), "")
	f.Add([]byte("'"), "a")
	f.Add([]byte("from"), "a")
	f.Fuzz(func(t *testing.T, source []byte, file string) {
		if len(source) > 4<<10 || bytes.ContainsAny(source, "*+") {
			return // memory is bounded by the process, which a fuzz target has not
		}
		setup, err := evaluateSetup(source, []string{file})
		var r *refusal
		if err != nil && !errors.As(err, &r) {
			t.Fatalf("not a refusal: %v", err)
		}
		if (setup == nil) == (err == nil) {
			t.Fatal("neither or both")
		}
		if setup != nil {
			_, _ = buildWheel(os.DirFS(t.TempDir()), *setup)
		}
	})
}
