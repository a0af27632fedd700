package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"selvage/artifacts"
)

// build says which selvage this is.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from a work tree with changes
	Go       string `json:"go"`
	Builder  string `json:"builder"` // of wheels: the same tree gives the same bytes under one name
}

func thisBuild() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Builder: artifacts.BuilderVersion}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  selvage version --output json",
		GroupID: host,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			if a.asJSON() {
				return a.printJSON(b)
			}
			text := "selvage " + b.Version
			if b.Commit != "" {
				text += " " + short(b.Commit, 7)
			}
			if b.Modified {
				text += ", changed since"
			}
			return a.print(fmt.Sprintf("%s (%s, wheels by %s)\n", text, b.Go, b.Builder))
		},
	}
	return a.printsData(cmd)
}
