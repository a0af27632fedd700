package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestEmulatorCommand(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	out, printed := io.Pipe()
	root := newApp(strings.NewReader(""), printed, io.Discard).root()
	root.SetArgs([]string{"emulator", "--token", "rehearsal"})
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(ctx) }()
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]int{"rehearsal": http.StatusOK, "another": http.StatusUnauthorized} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSpace(url)+"/api/2.0/preview/scim/v2/Me", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("with token %s: status %d, want %d", token, resp.StatusCode, want)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Every command says what it does, with examples that begin with its own name.
func TestHelp(t *testing.T) {
	root := newApp(strings.NewReader(""), io.Discard, io.Discard).root()
	commands := root.Commands()
	for len(commands) > 0 {
		c := commands[0]
		commands = append(commands[1:], c.Commands()...)
		if c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s has no summary or no example", c.CommandPath())
		}
		for example := range strings.Lines(c.Example) {
			if !strings.HasPrefix(example, "  "+c.CommandPath()) {
				t.Errorf("%s has the example %q", c.CommandPath(), example)
			}
		}
	}
}
