package artifacts

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"selvage/configs"
)

// The placeholders that stand for this project and the release that is deployed. What names them is
// of this project.
const (
	projectPlaceholder = "__PROJECT_ID_PLACEHOLDER__"
	versionPlaceholder = "__PROJECT_RELEASE_VERSION_PLACEHOLDER__"
)

// maxIdentifier bounds the name of a pipeline of another project, in bytes.
const maxIdentifier = 2000

// subscription tells whether a component names a pipeline of this project, of which it then returns
// only Pipeline, or one in a release of another.
func (d *definition) subscription(c Component) (s Subscription, own bool, refused *reason) {
	broken := func(text string) (Subscription, bool, *reason) {
		return Subscription{}, false, &reason{configs.JobBroken, text}
	}
	s, refused = parseIdentifier(c.PipelineID)
	if refused != nil {
		return Subscription{}, false, refused
	}
	release := c.ReleaseVersion
	if release == versionPlaceholder {
		release = ""
	}
	bare := s.ProjectID == "" && s.Git == ""
	pathID, pathVersion := artifactOf(c.Path)
	if release == "" && s.Git == "" && (bare || s.ProjectID == projectPlaceholder || s.ProjectID == d.ownID || pathID == projectPlaceholder) {
		return Subscription{Pipeline: s.Pipeline}, true, nil
	}
	if bare && digits(pathID) {
		s.ProjectID = pathID
	}
	if s.ProjectID == "" && s.Git == "" {
		return broken(fmt.Sprintf("%q with the releaseVersion %q of another project; expected the number of that project before it, as 7234/%s",
			shorten(c.PipelineID), shorten(release), shorten(s.Pipeline)))
	}
	if s.Version == "" {
		if release == "" && pathID == s.ProjectID && pathVersion != versionPlaceholder {
			release = pathVersion
		}
		s.Tag, s.Version = tagged(release)
	}
	if s.Version == "" || !printable(s.Version) {
		return broken(fmt.Sprintf("%s of another project; expected its releaseVersion beside it", shorten(s.Pipeline)))
	}
	return s, false, nil
}

// tagged splits what names a release of another project, "Proj/0.1" or "0.1". The version is what
// follows the last slash.
func tagged(release string) (tag, version string) {
	if i := strings.LastIndexByte(release, '/'); i >= 0 {
		return release, release[i+1:]
	}
	return "", release
}

var (
	// numbered is 7234/pipelines/x.
	numbered = regexp.MustCompile(`^([0-9]+|` + projectPlaceholder + `)/(pipelines/.+)$`)
	// located is the address of a repository, its folder if any, @, and TAG/7234/pipelines/x.
	located = regexp.MustCompile(`^(https?://.+)@([^@]+?)/([0-9]+)/(pipelines/[^@]+)$`)
	// part is where a field of gitUri=...&subPath=... begins.
	part = regexp.MustCompile(`(?:^|&)(gitUri|subPath|tag|projectSubscriptionProjectId|path)=`)
)

// parseIdentifier reads what names a pipeline, in any of its forms:
//
//	pipelines/x                                       of this project
//	7234/pipelines/x
//	gitUri=URL&subPath=P&tag=Proj/0.1&projectSubscriptionProjectId=7234&path=pipelines/x
//	URL/SUBPATH@Proj/0.1/7234/pipelines/x
//
// The fields of the third may be in any order.
func parseIdentifier(id string) (Subscription, *reason) {
	var s Subscription
	broken := func(format string, args ...any) (Subscription, *reason) {
		return Subscription{}, &reason{configs.JobBroken, fmt.Sprintf(format, args...)}
	}
	if len(id) > maxIdentifier {
		return broken("%d bytes; expected at most %d", len(id), maxIdentifier)
	}
	switch {
	case strings.HasPrefix(id, "pipelines/"):
		s.Pipeline = id
	case numbered.MatchString(id):
		m := numbered.FindStringSubmatch(id)
		s.ProjectID, s.Pipeline = m[1], m[2]
	case strings.HasPrefix(id, "gitUri="):
		fields := map[string]string{}
		places := part.FindAllStringSubmatchIndex(id, -1)
		for i, at := range places {
			end := len(id)
			if i+1 < len(places) {
				end = places[i+1][0]
			}
			key := id[at[2]:at[3]]
			if _, twice := fields[key]; twice {
				return broken("%s= stands in it twice; expected it once", key)
			}
			fields[key] = id[at[1]:end]
		}
		s = Subscription{ProjectID: fields["projectSubscriptionProjectId"], Git: fields["gitUri"], SubPath: fields["subPath"], Pipeline: fields["path"]}
		s.Tag = fields["tag"]
		_, s.Version = tagged(s.Tag)
		if s.Git == "" || s.Tag == "" {
			return broken("gitUri= or tag= is empty; expected gitUri=URL&subPath=FOLDER&tag=PROJECT/VERSION&projectSubscriptionProjectId=7234&path=pipelines/NAME")
		}
		if s.ProjectID != "" && !digits(s.ProjectID) {
			return broken("projectSubscriptionProjectId is %q; expected a number", shorten(s.ProjectID))
		}
	case located.MatchString(id):
		m := located.FindStringSubmatch(id)
		s = Subscription{ProjectID: m[3], Tag: m[2], Pipeline: m[4]}
		_, s.Version = tagged(s.Tag)
		s.Git, s.SubPath = repository(m[1])
	default:
		return broken("%q; expected pipelines/NAME, or a pipeline of another project as 7234/pipelines/NAME", shorten(user.ReplaceAllString(id, "$1")))
	}
	s.SubPath = strings.Trim(s.SubPath, "/")
	switch {
	case !validKey(s.Pipeline, "pipelines"):
		return broken("%q; expected pipelines/NAME", shorten(s.Pipeline))
	case s.SubPath != "" && !fs.ValidPath(s.SubPath):
		return broken("subPath is %q; expected a folder of the repository", shorten(s.SubPath))
	case !printable(s.Git), !printable(s.Tag), s.Tag != "" && s.Version == "":
		return broken("tag is %q; expected PROJECT/VERSION", shorten(s.Tag))
	}
	var secret bool
	if s.Git, secret = withoutUser(s.Git); secret {
		return Subscription{}, &reason{configs.SecretInGit, "the address of the repository holds a password; expected one without, and the credentials in selvage.yaml"}
	}
	return s, nil
}

// repository splits the address of a repository from a folder in it: at ".git", or after the second
// part of its path, as in https://host/team/project/folder.
func repository(address string) (git, sub string) {
	if i := strings.Index(address, ".git/"); i >= 0 {
		return address[:i+len(".git")], address[i+len(".git/"):]
	}
	if strings.HasSuffix(address, ".git") {
		return address, ""
	}
	parts := strings.SplitN(address, "/", 6) // https:, "", host, team, project, folder
	if len(parts) < 6 {
		return address, ""
	}
	return strings.Join(parts[:5], "/"), parts[5]
}

// user is who an address says one is, perhaps with a password.
var user = regexp.MustCompile(`(https?://)([^/@\s]*)@`)

// withoutUser takes the user off an address, and reports whether there was a password. A name as long
// as a token is taken for one.
func withoutUser(address string) (string, bool) {
	m := user.FindStringSubmatch(address)
	if m == nil {
		return address, false
	}
	return user.ReplaceAllString(address, "$1"), strings.Contains(m[2], ":") || len(m[2]) >= 30
}

// artifactOf reads the project and the version out of the path of an artifact in the tool's store:
// BASE/prophecy/artifacts/CUSTOMER/CONTROL_PLANE/PROJECT/VERSION/pipeline/FILE.
func artifactOf(p string) (project, version string) {
	_, rest, ok := strings.Cut(spelled(p), "/prophecy/artifacts/")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) < 6 || parts[4] != "pipeline" {
		return "", ""
	}
	return parts[2], parts[3]
}

// projectID is the number of the project as the clusters of a job have it, in files from before the
// placeholders; empty where they have none, or several.
func projectID(request map[string]any) string {
	found := map[string]bool{}
	visit(request, nil, func(_ *fieldPath, v any) {
		conf, _ := v.(map[string]any)
		for _, prefix := range []string{"spark.prophecy.", "prophecy."} {
			id, _ := conf[prefix+"project.id"].(string)
			uri, _ := conf[prefix+"metadata.job.uri"].(string)
			of, _, _ := strings.Cut(uri, "/jobs/")
			for _, id := range []string{id, of} {
				if digits(id) {
					found[id] = true
				}
			}
		}
	})
	if len(found) != 1 {
		return ""
	}
	for id := range found {
		return id
	}
	return ""
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// printable reports whether s has no character that breaks a line or a sentence.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}
