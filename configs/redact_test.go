package configs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMask(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{`host: https://qa.example.com`, `host: https://qa.example.com`},
		{`token: ${credential:qa_token}`, `token: ${credential:qa_token}`},
		{`token: "${credential:a}${env:B}"   # both`, `token: "${credential:a}${env:B}"   # both`},
		{`{token: "${credential:a}", host: x}`, `{token: "${credential:a}", host: x}`},
		{`{token: "${credential:a}", password: x}`, `{token: "${credential:a}", password: ********`},
		{`token: dapi1`, `token: ********`},
		{`token: ${credential:a}x`, `token: ********`},
		{`"client_secret" : x, host: y`, `"client_secret" : ********`},
		{`tokn: x`, `tokn: ********`},
		{`pasword: x`, `pasword: ********`},
		{`# ssh_key: x`, `# ssh_key: ********`},
		{`databricks_id_token_filepath: /run/token`, `databricks_id_token_filepath: /run/token`},
		{`git: https://u:p@h/x`, `git: https://********@h/x`},
		{`git: https://u@h/x`, `git: https://********@h/x`},
		{`git: ssh://git:p/w@h/x`, `git: ssh://git:********@h/x`},
		{`git: ssh://git@h:22/x`, `git: ssh://git@h:22/x`},
		{`git: git@h:x/y.git`, `git: git@h:x/y.git`},
		{`git: https://h/x?access_token=abc`, `git: https://h/x?access_token= ********`},
		{`host: dapi0123456789abcdef`, `host: ********`},
		{`x: -----BEGIN PRIVATE KEY----- abc`, `x: ********`},
	} {
		if got := mask(c.line); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

func TestMaskLines(t *testing.T) {
	text := `a: 1
ssh_key: |
  -----BEGIN
    deep

  last
b: 2
  token:
  same depth
  c: 3
token: ${credential:x}
  d: 4`
	want := `a: 1
ssh_key: ********
  ********
    ********

  ********
b: 2
  token:
  ********
  c: 3
token: ${credential:x}
  d: 4`
	got := strings.Join(maskLines(strings.Split(text, "\n")), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWindow(t *testing.T) {
	long := strings.Repeat("a", 200) + "X" + strings.Repeat("b", 200)
	for _, column := range []int{0, 1, 5, 60, 61, 201, 390, 401, 5000} {
		line, caret := window(long, column)
		n := len([]rune(line))
		if n > maxWidth+2 || caret < 0 || caret > n {
			t.Errorf("column %d: %d characters, caret at %d", column, n, caret)
		}
		if column == 201 && []rune(line)[caret] != 'X' {
			t.Errorf("the caret is not under X: %s %d", line, caret)
		}
	}
	if line, caret := window("öö x", 4); line != "öö x" || caret != 3 {
		t.Errorf("%q %d", line, caret)
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a\tb\x1b[31m\u202e\u200b\u0085é"); got != "a b·[31m···é" {
		t.Errorf("%q", got)
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"branch", "tag", "order"}
	for name, want := range map[string]string{"brnch": "branch", "tga": "tag", "tags": "tag", "ordr": "order", "x": "", "": "", "colour": "", "branches": "branch"} {
		if got := nearest(name, keys); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
