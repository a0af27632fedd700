package databricks

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/databricks/databricks-sdk-go/config"

	"selvage/fabric"
)

// CallError is a request that did not end well. Its text holds no credential and no body of a request.
type CallError struct {
	Request string // "GET /api/2.2/jobs/list"
	Status  int    // of the answer; 0 where there was none
	Code    string // error_code of the answer; may be empty
	Message string
	// Sent is false where no byte of the request can have reached the service.
	Sent bool

	cause error     // a context's error, for errors.Is
	until time.Time // the service wants no more of the kind before; zero if it did not say
}

func (e *CallError) Error() string {
	var b strings.Builder
	b.WriteString(e.Request + ": ")
	if e.Status != 0 {
		b.WriteString(strconv.Itoa(e.Status) + " ")
	}
	switch {
	case e.Code != "" && e.Message != "":
		b.WriteString(e.Code + ": " + e.Message)
	case e.Code+e.Message != "":
		b.WriteString(e.Code + e.Message)
	default:
		b.WriteString(http.StatusText(e.Status))
	}
	return b.String()
}

func (e *CallError) Unwrap() error { return e.cause }

// again is until when the service wants to be left alone, as far as an error says so.
func again(err error) time.Time {
	var busy *fabric.Busy
	var e *CallError
	switch {
	case errors.As(err, &busy):
		return busy.Until
	case errors.As(err, &e):
		return e.until
	}
	return time.Time{}
}

// passing reports an error that a read may not meet again in a moment.
func (e *CallError) passing() bool {
	if e.cause != nil {
		return false
	}
	if e.Code == "REQUEST_LIMIT_EXCEEDED" {
		return true
	}
	switch e.Status {
	case 0:
		return true
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return e.Status < 300 // a good answer that broke off
}

// missing reports the service's own word that the resource does not exist. A 404 without it may come
// from a proxy, a feature that is off, or a path that is wrong; a 403 comes before existence is looked at.
func (e *CallError) missing() bool {
	switch e.Status {
	case http.StatusNotFound:
		return e.Code == "RESOURCE_DOES_NOT_EXIST"
	case http.StatusBadRequest:
		return (e.Code == "INVALID_PARAMETER_VALUE" || e.Code == "RESOURCE_DOES_NOT_EXIST") && strings.Contains(e.Message, "does not exist")
	}
	return false
}

// exists reports that a file is there already.
func (e *CallError) exists() bool {
	return e.Status == http.StatusConflict || e.Status == http.StatusBadRequest && strings.HasSuffix(e.Code, "ALREADY_EXISTS")
}

// status is what the error of a changing request means for what to do next.
func (e *CallError) status() fabric.Status {
	switch {
	case !e.Sent:
		return fabric.Later
	case e.Status == http.StatusTooManyRequests || e.Code == "REQUEST_LIMIT_EXCEEDED":
		return fabric.Later
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusConflict, e.Status >= 300 && e.Status < 400:
		return fabric.Later // not carried out, and not because of what was asked for
	case e.Status == http.StatusRequestTimeout, e.Status < 400, e.Status >= 500:
		return fabric.Doubtful
	}
	return fabric.Refused
}

const maxMessage = 1000 // bytes of a service's message that are kept

// tokens are credentials by their looks, whichever they are.
var tokens = regexp.MustCompile(`(?i)\b(?:bearer|basic)\s+[\w.~+/=-]{8,}|\b(?:dapi|dkea|dose)[0-9a-f]{8,}[\w-]*|\beyJ[\w-]{8,}\.[\w.-]+`)

// redact makes a text from outside fit to be seen: no credential, no control characters, not endless.
func (w *Workspace) redact(s string) string {
	if w.secrets != nil {
		s = w.secrets.Replace(s)
	}
	s = tokens.ReplaceAllString(s, "(redacted)")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "..."
	}
	return s
}

// redactor replaces the values of the attributes that the SDK calls sensitive, in the spellings in
// which they may come back.
func redactor(attributes map[string]string) *strings.Replacer {
	var pairs []string
	for _, a := range config.ConfigAttributes {
		v := attributes[a.Name]
		if !a.Sensitive || len(v) < 4 {
			continue
		}
		quoted := strings.Trim(strconv.Quote(v), `"`)
		pairs = append(pairs, v, "(redacted)", url.QueryEscape(v), "(redacted)", url.PathEscape(v), "(redacted)", quoted, "(redacted)")
	}
	if pairs == nil {
		return nil
	}
	return strings.NewReplacer(pairs...)
}
