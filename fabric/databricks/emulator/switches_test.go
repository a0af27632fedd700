package emulator

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
)

// TestSwitches are the switches whose two answers differ in a status or in a field beside the settings.
func TestSwitches(t *testing.T) {
	post := func(path, body string) func(*testing.T, *Workspace, string) (int, string) {
		return func(t *testing.T, w *Workspace, url string) (int, string) {
			status, _, text := request(t, w, "POST", url+path, body)
			return status, text
		}
	}
	upload := func(t *testing.T, w *Workspace, url string) (int, string) {
		var form bytes.Buffer
		m := multipart.NewWriter(&form)
		for field, value := range map[string]string{"path": "/Shared/x.whl", "format": "AUTO", "content": "wheel"} {
			if err := m.WriteField(field, value); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		status, _, text := request(t, w, "POST", url+"/api/2.0/workspace/import", form.String(), "Content-Type", m.FormDataContentType())
		return status, text
	}
	for _, tt := range []struct {
		name    string
		u       Unverified
		ask     func(*testing.T, *Workspace, string) (int, string)
		off, on int    // status
		onText  string // in the answer, only with the switch
	}{
		{"DeletedIs403", Unverified{DeletedIs403: true}, func(t *testing.T, w *Workspace, url string) (int, string) {
			id := create(t, w, url, `{}`)
			if err := w.DeleteJob(id); err != nil {
				t.Fatal(err)
			}
			status, _, text := request(t, w, "GET", fmt.Sprintf("%s/api/2.2/jobs/get?job_id=%d", url, id), "")
			return status, text
		}, 400, 403, "PERMISSION_DENIED"},
		{"BundleRejected", Unverified{BundleRejected: true}, post("/api/2.2/jobs/create", `{"deployment":{"kind":"BUNDLE"}}`), 200, 400, "BUNDLE"},
		{"TriggersPreview", Unverified{TriggersPreview: true}, post("/api/2.2/jobs/create", `{"triggers":[{}]}`), 404, 200, "job_id"},
		{"RunJobUnchecked", Unverified{RunJobUnchecked: true}, post("/api/2.2/jobs/create", tasksWith(`{"task_key":"a","run_job_task":{"job_id":7}}`)), 400, 200, "job_id"},
		{"MultipartLimit", Unverified{MultipartLimit: 4}, upload, 200, 413, "MAX_REQUEST_SIZE_EXCEEDED"},
		{"ExistsIs400", Unverified{ExistsIs400: true}, func(t *testing.T, w *Workspace, url string) (int, string) {
			upload(t, w, url)
			return upload(t, w, url)
		}, 409, 400, ""},
		{"VolumeParents", Unverified{VolumeParents: true}, func(t *testing.T, w *Workspace, url string) (int, string) {
			status, _, text := request(t, w, "PUT", url+"/api/2.0/fs/files/Volumes/c/s/v/sub/x.whl", "x")
			return status, text
		}, http.StatusNoContent, 404, "No such directory"},
		{"BudgetPolicy", Unverified{BudgetPolicy: "b-1"}, func(t *testing.T, w *Workspace, url string) (int, string) {
			id := create(t, w, url, `{}`)
			status, _, text := request(t, w, "GET", fmt.Sprintf("%s/api/2.2/jobs/get?job_id=%d", url, id), "")
			return status, text
		}, 200, 200, `"effective_budget_policy_id":"b-1"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, url := serve(t, Options{})
			if status, text := tt.ask(t, w, url); status != tt.off || tt.onText != "" && strings.Contains(text, tt.onText) {
				t.Errorf("off: %d %s, want %d", status, text, tt.off)
			}
			w, url = serve(t, Options{Unverified: tt.u})
			if status, text := tt.ask(t, w, url); status != tt.on || !strings.Contains(text, tt.onText) {
				t.Errorf("on: %d %s, want %d with %q", status, text, tt.on, tt.onText)
			}
		})
	}
}
