package databricks

import (
	"testing"

	"selvage/fabric"
)

func TestToolAddresses(t *testing.T) {
	b := binding()
	b.Version, b.ProphecyURL = "1.2.0", "https://tool.shop.example"
	n := &rendering{Binding: b, placeholders: newPlaceholders(b)}
	for value, want := range map[string]bool{
		"https://app.prophecy.io/x":                       true,
		"wss://prophecy.io":                               true,
		"https://user:pass@app.prophecy.io:44":            true,
		"app.prophecy.io":                                 true,
		"prophecy.io":                                     true,
		"https://APP.Prophecy.IO":                         true,
		"{\"u\":\"https://app.prophecy.io\"}":             true,
		urlPlaceholder + "/x":                             true,
		"https://v" + versionPlaceholder + ".prophecy.io": true,
		"io.prophecy:prophecy-libs_2.12:3.3.0":            false,
		"me@app.prophecy.io":                              false,
		"https://prophecy.io.example.com":                 false,
		"https://notprophecy.io":                          false,
		"https://example.com/prophecy.io":                 false,
		"https://tool.shop.example":                       false,
		"":                                                false,
	} {
		if got := n.callsTool("key", value); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
	if !n.callsTool("spark.prophecy.metadata.url", "https://internal.example") || n.callsTool("spark.prophecy.metadata.job.uri", "1/jobs/x") {
		t.Error("keys")
	}
	n = &rendering{Binding: fabric.Binding{Isolation: []string{"tool.shop.example"}}}
	if !n.callsTool("key", "https://tool.shop.example") || n.callsTool("key", "https://app.prophecy.io/x") {
		t.Error("the configured hosts do not count")
	}
}
