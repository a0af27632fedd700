package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"selvage/configs"
	"selvage/fabric"
	"selvage/reconciler"
	"selvage/reconciler/adoption"
)

func (a *app) adoptCommand() *cobra.Command {
	var q reconciler.AdoptRequest
	var stateFile, patchFile string
	var match []string
	cmd := &cobra.Command{
		Use:   "adopt DEPLOYMENT...",
		Short: "Take over jobs that another tool deployed",
		Long: `Proposes which live jobs are those of the release, with the evidence for each, strongest first: what you choose with
--match, the state file of the previous tool, the project and job that the live job names itself, the files that it
runs, a unique name. Between equals nothing is guessed. Then it shows how each live job differs: in paths and the mark
alone, in settings that call the authoring tool, or edited by hand. An edit is kept in the overlay, as --write-patch
writes it, or given up.

Nothing is written until the proposal is accepted by its digest, and then only to the log: the deployment is held at the
release that the live jobs came from, and its first apply waits for a person as ever. A job that is taken over stays the same
job: its id, its history, its permissions, and whether it is paused.

DEPLOYMENT may be a pattern: '*@production'.`,
		Example: "  selvage adopt hello@production --state state.yml\n  selvage adopt hello@production --write-patch edits.yaml\n  selvage adopt '*@production' --give-up all --accept 5c1f9e",
		GroupID: act,
		Args:    someArguments("one or more deployments, as project@fabric or a pattern"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Deployments = args
			var err error
			if q.Match, err = choices(match); err != nil {
				return err
			}
			if stateFile != "" {
				if q.State, err = readStateFile(stateFile); err != nil {
					return err
				}
			}
			s, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			q.By = s.by
			t, err := s.Adopt(cmd.Context(), q)
			if err != nil {
				return adoptError(err, args)
			}
			if patchFile != "" {
				if err := writePatch(patchFile, t); err != nil {
					return err
				}
			}
			if a.asJSON() {
				return a.printJSON(t)
			}
			return a.print(a.screen.takeover(t, cmd.Flags(), args, patchFile))
		},
	}
	cmd.Flags().StringVar(&stateFile, "state", "", "read the state `FILE` of the previous tool (state.yml)")
	cmd.Flags().StringVar(&q.Baseline, "baseline", "", "the live jobs are of the release `TAG`")
	cmd.Flags().StringArrayVar(&match, "match", nil, "the job is this live one: `KEY=ID`")
	cmd.Flags().StringArrayVar(&q.GiveUp, "give-up", nil, "edits that may be lost: `all`, KEY, or KEY:PATH")
	cmd.Flags().StringVar(&patchFile, "write-patch", "", "write what keeps the edits, to stand under overlay: of the deployment, into `FILE`")
	cmd.Flags().StringVar(&q.Accept, "accept", "", "accept the proposal of this `DIGEST`, or its first six digits or more")
	return a.printsData(cmd)
}

// someArguments wants at least one of what the usage line names.
func someArguments(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return nil
		}
		return oneArgument(what)(cmd, args)
	}
}

// adoptError says what to do about an error of an adoption.
func adoptError(err error, args []string) error {
	again := "selvage adopt " + strings.Join(words(args), " ")
	for part, hint := range map[string]string{
		"look at it again":    again + " shows it",
		"edits would be lost": again + " --write-patch FILE writes what keeps them; --give-up all gives them up",
		"nothing to accept":   again + " says what is there",
	} {
		if strings.Contains(err.Error(), part) {
			return &failure{err, hint}
		}
	}
	return err
}

func words(args []string) []string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = shellWord(a)
	}
	return quoted
}

// choices reads KEY=ID.
func choices(match []string) (map[fabric.Key]string, error) {
	chosen := map[fabric.Key]string{}
	for _, m := range match {
		key, id, ok := strings.Cut(m, "=")
		if !ok || key == "" || id == "" {
			return nil, hinted("for example: --match jobs/daily=8812", "--match %s is no KEY=ID", m)
		}
		chosen[fabric.Key(key)] = id
	}
	return chosen, nil
}

const maxStateFile = 4 << 20 // bytes

// readStateFile reads the state file of the previous tool:
//
//	jobs:
//	- {id: jobs/Daily, type: Databricks, external_job_id: '8812', fabric_id: '1571', release_tag: Hello/0.12.0}
func readStateFile(name string) ([]adoption.Row, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the state file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxStateFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the state file: %w", err)
	}
	if len(text) > maxStateFile {
		return nil, fmt.Errorf("read %s: larger than %d MiB", name, maxStateFile>>20)
	}
	var file struct {
		Jobs []struct {
			ID       string `yaml:"id"`
			Type     string `yaml:"type"`
			External any    `yaml:"external_job_id"` // a text, or a number that somebody left without quotes
			Fabric   any    `yaml:"fabric_id"`
			Tag      string `yaml:"release_tag"`
		} `yaml:"jobs"`
	}
	if err := parseYAML(text, &file); err != nil {
		return nil, hinted("it is the file that the tool wrote with --conf-dir or --migrate", "read %s: %w", name, err)
	}
	if len(file.Jobs) == 0 {
		return nil, hinted("it is the file that the tool wrote with --conf-dir or --migrate", "%s: expected a list of jobs under jobs:, found none", name)
	}
	var rows []adoption.Row
	for _, j := range file.Jobs {
		if j.ID == "" || j.External == nil || j.Type != "" && !strings.EqualFold(j.Type, "Databricks") {
			continue
		}
		r := adoption.Row{Job: fabric.Key(j.ID), ID: fmt.Sprint(j.External), Tag: j.Tag}
		if j.Fabric != nil {
			r.Fabric = fmt.Sprint(j.Fabric)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// parseYAML decodes a file that others wrote. The parser has seen less hostile input than it may be.
func parseYAML(text []byte, into any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it can't be parsed as YAML")
		}
	}()
	for _, tk := range lexer.Tokenize(string(text)) {
		if tk.Type == token.AnchorType || tk.Type == token.AliasType || tk.Type == token.MergeKeyType {
			return fmt.Errorf("it has anchors or aliases")
		}
	}
	return yaml.Unmarshal(text, into)
}

// writePatch writes the text that keeps the edits, and reads it as the configuration will.
func writePatch(name string, t reconciler.Takeover) error {
	var text strings.Builder
	for _, d := range t.Deployments {
		if d.Patch != "" {
			text.WriteString(d.Patch)
		}
	}
	if len(t.Deployments) > 1 {
		return hinted("write one file for each: selvage adopt "+t.Deployments[0].Deployment+" --write-patch FILE", "an overlay is that of one deployment, and this is about %d", len(t.Deployments))
	}
	if text.Len() == 0 {
		return hinted("selvage adopt "+t.Deployments[0].Deployment+" shows what differs", "%s was not written: there is no edit that an overlay could keep", name)
	}
	if err := renameio.WriteFile(name, []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	written, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	_, err = configs.ParseOverlay(name, written)
	return err
}

func (a *app) disownCommand() *cobra.Command {
	var q reconciler.DisownRequest
	var keys []string
	cmd := &cobra.Command{
		Use:   "disown DEPLOYMENT",
		Short: "Hand jobs back: take the mark off them, and manage them no longer",
		Long: `Takes the mark off the live jobs of a deployment, or of those named with --job, and leaves everything else of them as it is.
Nothing is written to them afterwards, and none is made in their place, until they are taken over again.`,
		Example: "  selvage disown hello@production --reason 'back to the old tool'\n  selvage disown hello@production --job jobs/daily --reason 'the sales team takes it'",
		GroupID: act,
		Args:    oneArgument(aDeployment),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Deployment = args[0]
			for _, k := range keys {
				q.Keys = append(q.Keys, fabric.Key(k))
			}
			s, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			q.By = s.by
			h, err := s.Disown(cmd.Context(), q)
			if err != nil {
				return &failure{err, "when that is mended, the same command goes on with the rest"}
			}
			if a.asJSON() {
				return a.printJSON(h)
			}
			return a.print(fmt.Sprintf("%s of %s are handed back. To take them over again: selvage adopt %s\n", plural(len(h.Keys), "job"), h.Deployment, h.Deployment))
		},
	}
	cmd.Flags().StringArrayVar(&keys, "job", nil, "hand only the job `KEY` back")
	reasonFlag(cmd, &q.Why)
	return a.printsData(cmd)
}

// reasonFlag gives a command --reason, which may be written --why too.
func reasonFlag(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVar(reason, "reason", "", "`TEXT` for the log and for everyone who asks")
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "why" {
			name = "reason"
		}
		return pflag.NormalizedName(name)
	})
}

func (a *app) holdCommand() *cobra.Command {
	var q reconciler.HoldRequest
	cmd := &cobra.Command{
		Use:   "hold DEPLOYMENT",
		Short: "Pin a deployment to a release",
		Long: `Pins a deployment to what is live, or to the release named with --revision, until someone ends that or applies another
release. Newer ones wait; drift is still put right.`,
		Example: "  selvage hold hello@production --reason 'quarter close'\n  selvage hold hello@production --revision HelloProphecy/1.3.2",
		GroupID: act,
		Args:    oneArgument(aDeployment),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			q.Deployment, q.By = args[0], s.by
			h, err := s.Hold(cmd.Context(), q)
			if err != nil {
				return err
			}
			return a.print(fmt.Sprintf("%s is held at %s until someone ends it: selvage unhold %s\n", q.Deployment, visible(h.Revision.String()), q.Deployment))
		},
	}
	cmd.Flags().StringVar(&q.Revision, "revision", "", "hold it at the tag, branch or commit `REF` instead of what is live")
	reasonFlag(cmd, &q.Why)
	return cmd
}

func (a *app) unholdCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "unhold DEPLOYMENT",
		Short:   "End a hold",
		Long:    "Ends the hold of a deployment: the newest release that may is taken again.",
		Example: "  selvage unhold hello@production",
		GroupID: act,
		Args:    oneArgument(aDeployment),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withSession(cmd.Context(), func(s *session) error {
				if err := s.Unhold(cmd.Context(), args[0], s.by); err != nil {
					if strings.Contains(err.Error(), "is not held") {
						return &failure{err, "selvage status says what holds it"}
					}
					return err
				}
				return a.print(args[0] + " is no longer held.\n")
			})
		},
	}
}

// withSession asks somebody, and closes what was opened for it.
func (a *app) withSession(ctx context.Context, do func(*session) error) error {
	s, err := a.ask(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	return do(s)
}
