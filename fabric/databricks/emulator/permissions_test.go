package emulator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func accessList(entries ...string) string {
	return `{"access_control_list":[` + strings.Join(entries, ",") + `]}`
}

const (
	mine  = `{"user_name":"deployer@selvage.example","permission_level":"IS_OWNER"}`
	views = `{"user_name":"A@shop.example","permission_level":"CAN_VIEW"}`
)

func TestPermissions(t *testing.T) {
	for _, tt := range []struct {
		name, method, body string
		status             int
		code, text         string // in the answer
		want               []string
	}{
		{"nobody set any: who made it owns it", "GET", "", 200, "", `"inherited":true`, []string{"user_name deployer@selvage.example IS_OWNER"}},
		{"PUT replaces", "PUT", accessList(mine, views), 200, "", `"user_name":"A@shop.example"`, []string{"user_name A@shop.example CAN_VIEW", "user_name deployer@selvage.example IS_OWNER"}},
		{"PATCH merges", "PATCH", accessList(views), 200, "", "", []string{"user_name A@shop.example CAN_VIEW", "user_name deployer@selvage.example IS_OWNER"}},
		{"no owner", "PUT", accessList(views), 400, "INVALID_PARAMETER_VALUE", "exactly one owner", nil},
		{"two owners", "PUT", accessList(mine, `{"user_name":"b","permission_level":"IS_OWNER"}`), 400, "INVALID_PARAMETER_VALUE", "exactly one owner", nil},
		{"a second owner", "PATCH", accessList(`{"user_name":"b","permission_level":"IS_OWNER"}`), 400, "INVALID_PARAMETER_VALUE", "exactly one owner", nil},
		{"a group as owner", "PUT", accessList(`{"group_name":"g","permission_level":"IS_OWNER"}`), 400, "INVALID_PARAMETER_VALUE", "cannot be the owner", nil},
		{"the same twice", "PUT", accessList(mine, views, `{"user_name":"a@shop.example","permission_level":"CAN_MANAGE"}`), 400, "INVALID_PARAMETER_VALUE", "more than once", nil},
		{"two groups that differ in case", "PUT", accessList(mine, `{"group_name":"g","permission_level":"CAN_VIEW"}`, `{"group_name":"G","permission_level":"CAN_VIEW"}`), 200, "", "",
			[]string{"group_name G CAN_VIEW", "group_name g CAN_VIEW", "user_name deployer@selvage.example IS_OWNER"}},
		{"an unknown level", "PUT", accessList(mine, `{"group_name":"g","permission_level":"CAN_EDIT"}`), 400, "INVALID_PARAMETER_VALUE", "CAN_EDIT", nil},
		{"somebody who is not there", "PUT", accessList(mine, `{"user_name":"ghost@shop.example","permission_level":"CAN_VIEW"}`), 404, "RESOURCE_DOES_NOT_EXIST", "ghost", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, url := serve(t, Options{Principals: []string{"deployer@selvage.example", "A@shop.example", "a@shop.example", "b", "g", "G"}})
			id := create(t, w, url, `{}`)
			before := w.Access(id)
			status, code, text := request(t, w, tt.method, fmt.Sprintf("%s/api/2.0/permissions/jobs/%d", url, id), tt.body)
			if status != tt.status || code != tt.code || !strings.Contains(text, tt.text) {
				t.Errorf("%d %s %s, want %d %s with %q", status, code, text, tt.status, tt.code, tt.text)
			}
			want := tt.want
			if want == nil {
				want = before
			}
			if diff := cmp.Diff(want, w.Access(id)); diff != "" {
				t.Errorf("direct permissions (-want +got):\n%s", diff)
			}
		})
	}
}

// Who is no administrator sees what it may see, changes what it may manage, and gives no job another owner.
func TestGuestsAndPermissions(t *testing.T) {
	w, url := serve(t, Options{Guests: map[string][]string{"deployer@selvage.example": nil}})
	id := create(t, w, url, `{"name":"a"}`)
	path := fmt.Sprintf("%s/api/2.0/permissions/jobs/%d", url, id)
	reset := fmt.Sprintf(`{"job_id":%d,"new_settings":{"name":"a"}}`, id)
	other := `{"user_name":"other@shop.example","permission_level":"IS_OWNER"}`
	if status, _, text := request(t, w, "PUT", path, accessList(other, strings.Replace(mine, "IS_OWNER", "CAN_MANAGE", 1))); status != 403 || !strings.Contains(text, "owner") {
		t.Errorf("another owner: %d %s", status, text)
	}
	for _, tt := range []struct {
		level        string
		read, change int
		listed       bool
	}{{"CAN_MANAGE", 200, 200, true}, {"CAN_VIEW", 200, 403, true}, {"", 403, 403, false}} {
		access := []string{other}
		if tt.level != "" {
			access = append(access, strings.Replace(mine, "IS_OWNER", tt.level, 1))
		}
		if err := w.SetAccess(id, []byte(accessList(access...))); err != nil {
			t.Fatal(err)
		}
		read, _, _ := request(t, w, "GET", path, "")
		change, _, _ := request(t, w, "POST", url+"/api/2.2/jobs/reset", reset)
		put, _, _ := request(t, w, "PUT", path, accessList(access...))
		_, _, jobs := request(t, w, "GET", url+"/api/2.2/jobs/list", "")
		if read != tt.read || change != tt.change || put != tt.change || strings.Contains(jobs, "job_id") != tt.listed {
			t.Errorf("with %q: read %d, reset %d, put %d, listed %s", tt.level, read, change, put, jobs)
		}
	}
}

// The answers to questions about permissions that nobody has verified.
func TestPermissionSwitches(t *testing.T) {
	admins := `{"group_name":"admins","permission_level":"CAN_MANAGE"}`
	for _, tt := range []struct {
		name    string
		u       Unverified
		delete  bool
		off, on string // in the answer to GET, after PUT
		gone    string // not in it, with the switch
	}{
		{"PermissionsLag", Unverified{PermissionsLag: time.Hour}, false, "A@shop.example", "deployer@selvage.example", "A@shop.example"},
		{"PermissionsOutlive", Unverified{PermissionsOutlive: true}, true, "INVALID_PARAMETER_VALUE", "A@shop.example", "error_code"},
		{"AdminsInherit", Unverified{AdminsInherit: true}, false, `{"inherited":false,"permission_level":"CAN_MANAGE"}`, "admins", `{"inherited":false,"permission_level":"CAN_MANAGE"}`},
		{"UserNamesLowered", Unverified{UserNamesLowered: true}, false, "A@shop.example", "a@shop.example", "A@shop.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ask := func(u Unverified) string {
				w, url := serve(t, Options{Unverified: u})
				id := create(t, w, url, `{}`)
				path := fmt.Sprintf("%s/api/2.0/permissions/jobs/%d", url, id)
				if status, _, text := request(t, w, "PUT", path, accessList(mine, views, admins)); status != 200 {
					t.Fatalf("%d %s", status, text)
				}
				if tt.delete {
					if err := w.DeleteJob(id); err != nil {
						t.Fatal(err)
					}
				}
				_, _, text := request(t, w, "GET", path, "")
				return text
			}
			if text := ask(Unverified{}); !strings.Contains(text, tt.off) {
				t.Errorf("off: %s", text)
			}
			if text := ask(tt.u); !strings.Contains(text, tt.on) || strings.Contains(text, tt.gone) {
				t.Errorf("on: %s", text)
			}
		})
	}
}
