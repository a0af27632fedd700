package fabric

import (
	"strings"
	"testing"
)

const canary = "c4n4ry-7f3a"

// TestSecretsDoNotPrint puts a canary wherever a definition may hold a secret, on either side and
// in every way a field can differ.
func TestSecretsDoNotPrint(t *testing.T) {
	rules := &Rules{Keys: map[string]string{"tasks": "task_key", "parameters": "name"}, Sets: map[string]bool{"set": true}}
	for _, member := range []string{
		`"password":"§"`, `"db_password":"§"`, `"clientSecret":"§"`, `"api-key":"§"`, `"ACCESS_TOKEN":"§"`,
		`"spark.hadoop.fs.azure.account.key.shop.dfs.core.windows.net":"§"`, `"spark.hadoop.fs.s3a.access.key":"§"`,
		`"secret":{"value":"§","more":["§",{"x":"§"}]}`, `"credentials":["§","§"]`, `"password":[["§"]]`,
		`"parameters":[{"name":"db_password","default":"§"}]`, `"env":[{"key":"API_TOKEN","value":"§"}]`,
		`"args":["--user","x","--db-password","§"]`, `"args":["--password=§"]`, `"args":["--url","jdbc:sqlserver://h;user=a;password=§;x=1"]`,
		`"url":"https://user:§@host/path"`, `"url":"https://host/path?sig=§&x=1"`, `"url":"https://host/?api_key=§"`,
		`"json":"{\"password\": \"§\", \"x\": 1}"`, `"json":"{\\\"token\\\":\\\"§\\\"}"`,
		`"set":["x","password=§"]`, `"header":"Bearer §-and-more"`, `"a":{"b":{"c":{"private_key":"§"}}}`,
		`"password=§":"x"`,
	} {
		text := strings.ReplaceAll(member, "§", canary)
		if !strings.Contains(text, canary) {
			t.Fatalf("%s holds no canary", member)
		}
		full := `{` + text + `,"tasks":[{"task_key":"t",` + text + `}]}`
		other := strings.ReplaceAll(full, canary, canary+"-old")
		for _, pair := range [][2]string{{full, `{}`}, {`{}`, full}, {full, other}, {full, `{"tasks":[{"task_key":"t"}]}`}, {other, `{"tasks":[{"task_key":"t"}]}`}} {
			fields, _ := Compare(Comparison{Rules: rules, Desired: mustDoc(t, pair[0]), Live: mustDoc(t, pair[1])})
			if len(fields) == 0 {
				t.Errorf("%s: the difference is not seen", member)
			}
			if out := compact(fields); strings.Contains(out, canary) {
				t.Errorf("%s prints: %s", member, out)
			}
		}
	}
}

func TestShown(t *testing.T) {
	for _, tt := range []struct {
		in   any
		want string
	}{
		{"plain", `"plain"`},
		{map[string]any{"password": "{{secrets/shop/db}}", "use_token": true}, `{"password":"{{secrets/shop/db}}","use_token":true}`},
		{map[string]any{"password": "{{secrets/shop/db}}x"}, `{"password":"(redacted)"}`},
		{"jdbc:x;password={{secrets/shop/db}};y=1", `"jdbc:x;password={{secrets/shop/db}};y=1"`},
		{map[string]any{"password": ""}, `{"password":""}`},
		{[]any{"--password", "-x"}, `["--password","(redacted)"]`},
		{"at 10:30 user@host", `"at 10:30 user@host"`},
		{"dapi0123456789abcdef0123456789abcdef", `"(redacted)"`},
		{"\u202e\x1b\u00a0", `"\u202e\u001b\u00a0"`},
	} {
		if got := string(shown(tt.in, false)); got != tt.want {
			t.Errorf("shown(%v) = %s, want %s", tt.in, got, tt.want)
		}
	}
	if got := shown(nil, true); got != nil {
		t.Errorf("absence is shown as %s", got)
	}
}
