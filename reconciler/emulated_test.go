package reconciler

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"selvage/fabric/databricks/emulator"
)

// emulateArg has the test binary be an emulated workspace, so that figures are those of the daemon's process alone.
const emulateArg = "emulate-workspace"

// emulateMain serves the workspace that stdin describes, until stdin ends.
func emulateMain() int {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	var o emulator.Options
	if err == nil {
		err = json.Unmarshal(line, &o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	url, stop, err := emulator.New(o).Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer stop()
	fmt.Println(url)
	_, _ = io.Copy(io.Discard, in) // until who started us is gone
	return 0
}

// emulated is a workspace in another process.
type emulated struct {
	t   testing.TB
	url string
}

func emulate(t testing.TB, o emulator.Options) *emulated {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", emulateArg)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error("the emulated workspace:", err)
		}
	})
	if err := json.NewEncoder(in).Encode(options(o)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal("start the emulated workspace:", err)
	}
	return &emulated{t, strings.TrimSpace(line)}
}

// options are those that can be sent to another process.
func options(o emulator.Options) map[string]any {
	return map[string]any{"Token": o.Token, "IntentLog": o.IntentLog, "Latency": o.Latency, "Limits": o.Limits}
}

func (e *emulated) ask(method, path string, v any) {
	e.t.Helper()
	r, err := http.NewRequest(method, e.url+"/__emulator/"+path, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		e.t.Fatal(err)
	}
}

func (e *emulated) count(pattern string) int {
	e.t.Helper()
	var n struct{ Count int }
	e.ask(http.MethodGet, "count?pattern="+url.QueryEscape(pattern), &n)
	return n.Count
}

func (e *emulated) resetJournal() {
	e.t.Helper()
	var v any
	e.ask(http.MethodDelete, "requests", &v)
}

func (e *emulated) violations() []string {
	e.t.Helper()
	var v []string
	e.ask(http.MethodGet, "violations", &v)
	return v
}
