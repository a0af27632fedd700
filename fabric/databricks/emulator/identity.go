package emulator

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// endpoint is a handler and what stands before it.
type endpoint struct {
	serve func(*Workspace, *call) (answer, *failure)
	open  bool // needs no token and no intent
}

// routes are the endpoints with a fixed path, below the API version for jobs.
var routes = map[string]endpoint{
	"POST jobs/create":      {serve: (*Workspace).createJob},
	"POST jobs/reset":       {serve: (*Workspace).resetJob},
	"POST jobs/update":      {serve: (*Workspace).updateJob},
	"POST jobs/delete":      {serve: (*Workspace).deleteJob},
	"GET jobs/get":          {serve: (*Workspace).getJob},
	"GET jobs/list":         {serve: (*Workspace).listAll},
	"POST jobs/run-now":     {serve: (*Workspace).runNow},
	"GET jobs/runs/get":     {serve: (*Workspace).getRun},
	"GET jobs/runs/list":    {serve: (*Workspace).listRuns},
	"POST jobs/runs/cancel": {serve: (*Workspace).cancelRun},

	"POST workspace/import":    {serve: (*Workspace).importFile},
	"POST workspace/mkdirs":    {serve: (*Workspace).makeFolders},
	"POST workspace/delete":    {serve: (*Workspace).deletePath},
	"GET workspace/get-status": {serve: (*Workspace).pathStatus},
	"GET workspace/list":       {serve: (*Workspace).listPath},
	"GET workspace/export":     {serve: (*Workspace).exportFile},

	"GET preview/scim/v2/Me": {serve: (*Workspace).me},

	"GET secrets/list":    {serve: (*Workspace).listSecrets},
	"GET dbfs/get-status": {serve: (*Workspace).dbfsStatus},
}

// prefixes are the endpoints whose path holds a name or an id.
var prefixes = map[string]endpoint{
	"PUT fs/files":           {serve: (*Workspace).putVolumeFile},
	"GET fs/files":           {serve: (*Workspace).readVolumeFile},
	"HEAD fs/files":          {serve: (*Workspace).readVolumeFile},
	"DELETE fs/files":        {serve: (*Workspace).deleteVolumeFile},
	"PUT fs/directories":     {serve: (*Workspace).putVolumeFolder},
	"GET fs/directories":     {serve: (*Workspace).readVolumeFolder},
	"HEAD fs/directories":    {serve: (*Workspace).readVolumeFolder},
	"DELETE fs/directories":  {serve: (*Workspace).deleteVolumeFolder},
	"GET permissions/jobs":   {serve: (*Workspace).readPermissions},
	"PUT permissions/jobs":   {serve: (*Workspace).putPermissions},
	"PATCH permissions/jobs": {serve: (*Workspace).patchPermissions},
}

// route finds the endpoint of a request, and its name for rate limits, as "jobs/create".
func route(method, path string) (endpoint, string) {
	switch path {
	case "/.well-known/databricks-config":
		return endpoint{serve: (*Workspace).hostConfig, open: true}, "well-known"
	case "/oidc/.well-known/oauth-authorization-server":
		return endpoint{serve: (*Workspace).oauthConfig, open: true}, "well-known"
	case "/oidc/v1/token":
		return endpoint{serve: (*Workspace).issueToken, open: true}, "oidc/token"
	}
	version, rest, _ := strings.Cut(strings.TrimPrefix(path, "/api/"), "/")
	isJobs := strings.HasPrefix(rest, "jobs/")
	if version == "2.1" && rest == "clusters/list" {
		return namedRoutes[method+" "+rest], rest
	}
	if version != "2.0" && !isJobs || isJobs && version != "2.1" && version != "2.2" {
		return endpoint{}, rest
	}
	if h, found := routes[method+" "+rest]; found {
		return h, rest
	}
	if h, found := namedRoutes[method+" "+rest]; found {
		return h, rest
	}
	first, tail, _ := strings.Cut(rest, "/")
	second, _, more := strings.Cut(tail, "/")
	label := first + "/" + second
	if h, found := prefixes[method+" "+label]; found && more {
		return h, label
	}
	if method == "GET" && first == "pipelines" && second != "" && !more {
		return endpoint{serve: (*Workspace).getPipeline}, "pipelines/get"
	}
	return endpoint{}, rest
}

// grant is an OAuth token that we gave out.
type grant struct {
	user string
	ends time.Time
}

// tokenLife is how long an OAuth token works.
const tokenLife = time.Hour

// authenticate finds out whose token the call carries.
func (w *Workspace) authenticate(c *call) *failure {
	token, bearer := strings.CutPrefix(c.header.Get("Authorization"), "Bearer ")
	if bearer && same(token, w.o.Token) {
		c.user = w.o.User
		return nil
	}
	for known, user := range w.o.Users {
		if bearer && same(token, known) {
			c.user = user
			return nil
		}
	}
	w.mu.Lock()
	g, found := w.tokens[token]
	w.mu.Unlock()
	if bearer && found && c.now.Before(g.ends) {
		c.user = g.user
		return nil
	}
	if w.o.Unverified.BadTokenIs403 {
		return refused(http.StatusForbidden, "403", "Invalid access token.")
	}
	return refused(http.StatusUnauthorized, "UNAUTHENTICATED",
		"Credential was not sent or was of an unsupported type for this API.")
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// hostConfig is the discovery document that the SDK asks for first.
func (w *Workspace) hostConfig(c *call) (answer, *failure) {
	return ok(map[string]any{
		"oidc_endpoint": "http://" + c.host + "/oidc",
		"workspace_id":  "6051921418418893",
		"cloud":         string(w.o.Profile),
		"host_type":     "workspace",
	})
}

func (w *Workspace) oauthConfig(c *call) (answer, *failure) {
	return ok(map[string]any{
		"issuer":                 "http://" + c.host + "/oidc",
		"authorization_endpoint": "http://" + c.host + "/oidc/v1/authorize",
		"token_endpoint":         "http://" + c.host + "/oidc/v1/token",
	})
}

// issueToken is the client credentials grant of RFC 6749, section 4.4.
func (w *Workspace) issueToken(c *call) (answer, *failure) {
	form, err := url.ParseQuery(string(c.body))
	if err != nil || form.Get("grant_type") != "client_credentials" {
		return oauthError(http.StatusBadRequest, "unsupported_grant_type")
	}
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if pair, basic := strings.CutPrefix(c.header.Get("Authorization"), "Basic "); basic {
		raw, err := base64.StdEncoding.DecodeString(pair)
		if err != nil {
			return oauthError(http.StatusUnauthorized, "invalid_client")
		}
		user, password, _ := strings.Cut(string(raw), ":")
		id, _ = url.QueryUnescape(user) // a bad escape leaves a wrong id, which is refused below
		secret, _ = url.QueryUnescape(password)
	}
	if w.o.ClientID == "" || !same(id, w.o.ClientID) || !same(secret, w.o.ClientSecret) {
		return oauthError(http.StatusUnauthorized, "invalid_client")
	}
	w.mu.Lock()
	token := fmt.Sprintf("oauth-%016x%016x", w.rng.Uint64(), w.rng.Uint64())
	w.tokens[token] = grant{user: id, ends: c.now.Add(tokenLife)}
	w.mu.Unlock()
	return ok(map[string]any{"access_token": token, "token_type": "Bearer",
		"expires_in": int(tokenLife / time.Second), "scope": "all-apis"})
}

func oauthError(status int, code string) (answer, *failure) {
	body, err := marshal(map[string]any{"error": code, "error_description": "the emulator does not know this client"})
	if err != nil {
		body = nil // two strings always encode
	}
	return answer{status: status, body: body}, nil
}

// me is the caller in SCIM's words. A service principal's userName is its application id.
func (w *Workspace) me(c *call) (answer, *failure) {
	me := map[string]any{
		"schemas":     []any{"urn:ietf:params:scim:schemas:core:2.0:User"},
		"id":          fmt.Sprint(100_000_000 + int64(hash(c.user)%900_000_000)),
		"userName":    c.user,
		"displayName": strings.Split(c.user, "@")[0],
		"active":      true,
	}
	if !w.o.Unverified.GroupsHidden {
		groups := []any{}
		for _, name := range w.groupsOf(c.user) {
			groups = append(groups, map[string]any{"display": name, "type": "direct", "value": fmt.Sprint(hash(name) % 1e12)})
		}
		me["groups"] = groups
	}
	return ok(me)
}

// groupsOf are the groups of the workspace that a user is in.
func (w *Workspace) groupsOf(user string) []string {
	if groups, guest := w.o.Guests[user]; guest {
		return append([]string{"users"}, groups...)
	}
	return []string{"admins", "users"}
}
