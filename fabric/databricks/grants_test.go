package databricks

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"selvage/configs"
	"selvage/fabric"
)

func TestGrants(t *testing.T) {
	sent := doc(t, `{"name":"daily","run_as":{"service_principal_name":"runner"},"job_clusters":[{"job_cluster_key":"c","new_cluster":{"policy_id":"9A3F","instance_pool_id":"pool-1","driver_instance_pool_id":"pool-2",
		"spark_env_vars":{"PASSWORD":"{{secrets/shop/dbt}}"}}}],"tasks":[{"task_key":"a","existing_cluster_id":"0101-x"},{"task_key":"b","sql_task":{"warehouse_id":"w1"}},{"task_key":"c","new_cluster":{"num_workers":1}},
		{"task_key":"d","for_each_task":{"task":{"task_key":"e","pipeline_task":{"pipeline_id":"p-1"},"dbt_task":{"warehouse_id":"w1"}}}}]}`)
	for _, tt := range []struct {
		name string
		n    Needs
		want []string
	}{
		{"nothing is known", Needs{Principal: "4f1c"}, []string{
			"console Settings, Identity and access: add 4f1c to the workspace, with the entitlement Workspace access",
			"console Settings, Identity and access, Groups: add 4f1c to admins; without it, say visibility: own of the fabric",
		}},
		{"its own jobs only, and a folder", Needs{Principal: "4f1c", SeesOwn: true, Artifacts: "/Workspace/artifacts", Overlays: []configs.Overlay{{RunAs: configs.RunAs{ServicePrincipal: "runner"}}, {RunAs: configs.RunAs{ServicePrincipal: "4f1c"}}}}, []string{
			"console Settings, Identity and access: add 4f1c to the workspace, with the entitlement Workspace access",
			"console each such job, Permissions: 4f1c CAN_MANAGE; it owns those that it makes",
			"console? make the folder /Workspace/artifacts; Share: 4f1c CAN_MANAGE",
			"console? folder /Workspace/artifacts, Share: runner CAN_READ",
			"console Account console, Service principals, runner, Permissions: 4f1c as Service Principal: User",
		}},
		{"all of it", Needs{Principal: "dep@shop.example", Artifacts: "/Volumes/ma`in/selvage/artifacts/x", Sent: []fabric.Doc{sent, sent}, Overlays: []configs.Overlay{{
			JobClusters: []configs.ClusterOverlay{{Key: "*", Merge: map[string]any{"policy_id": map[string]any{"policy": "it's small"}}}},
			Patch:       []configs.Patch{{Jobs: "*", Tasks: []configs.TaskPatch{{Key: "*", Merge: map[string]any{"new_cluster": map[string]any{"instance_pool_id": "pool-3"}}}}}},
		}}}, []string{
			"console Settings, Identity and access: add dep@shop.example to the workspace, with the entitlement Workspace access",
			"console Settings, Identity and access, Groups: add dep@shop.example to admins; without it, say visibility: own of the fabric",
			"console? Settings, Identity and access: the entitlement Unrestricted cluster creation for dep@shop.example",
			"sql GRANT USE CATALOG ON CATALOG `ma``in` TO `dep@shop.example`;",
			"sql GRANT USE SCHEMA ON SCHEMA `ma``in`.`selvage` TO `dep@shop.example`;",
			"sql GRANT READ VOLUME, WRITE VOLUME ON VOLUME `ma``in`.`selvage`.`artifacts` TO `dep@shop.example`;",
			"sql GRANT USE CATALOG ON CATALOG `ma``in` TO `runner`;",
			"sql GRANT USE SCHEMA ON SCHEMA `ma``in`.`selvage` TO `runner`;",
			"sql GRANT READ VOLUME ON VOLUME `ma``in`.`selvage`.`artifacts` TO `runner`;",
			"console? folder /Workspace/Users/dep@shop.example/.selvage/sources, Share: runner CAN_READ",
			`cli databricks permissions update cluster-policies 9A3F --json '{"access_control_list":[{"permission_level":"CAN_USE","user_name":"dep@shop.example"}]}'`,
			`cli? databricks permissions update cluster-policies 'ID_OF_POLICY(it'\''s small)' --json '{"access_control_list":[{"permission_level":"CAN_USE","user_name":"dep@shop.example"}]}'`,
			`cli? databricks permissions update clusters 0101-x --json '{"access_control_list":[{"permission_level":"CAN_ATTACH_TO","user_name":"dep@shop.example"}]}'`,
			`cli databricks permissions update instance-pools pool-1 --json '{"access_control_list":[{"permission_level":"CAN_ATTACH_TO","user_name":"dep@shop.example"}]}'`,
			`cli databricks permissions update instance-pools pool-2 --json '{"access_control_list":[{"permission_level":"CAN_ATTACH_TO","user_name":"dep@shop.example"}]}'`,
			`cli databricks permissions update instance-pools pool-3 --json '{"access_control_list":[{"permission_level":"CAN_ATTACH_TO","user_name":"dep@shop.example"}]}'`,
			`cli databricks permissions update warehouses w1 --json '{"access_control_list":[{"permission_level":"CAN_USE","user_name":"dep@shop.example"}]}'`,
			`cli? databricks permissions update pipelines p-1 --json '{"access_control_list":[{"permission_level":"CAN_VIEW","user_name":"dep@shop.example"}]}'`,
			"cli? databricks secrets put-acl shop dep@shop.example READ",
			"console Account console, Service principals, runner, Permissions: dep@shop.example as Service Principal: User",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, g := range Grants(tt.n) {
				mark := ""
				if g.Unverified {
					mark = "?"
				}
				got = append(got, string(g.By)+mark+" "+g.Statement)
				if g.For == "" || strings.ContainsAny(g.Statement, "\n\x1b") {
					t.Errorf("%+v", g)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
