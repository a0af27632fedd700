package emulator

import (
	"encoding/json"
	"fmt"
)

// clusterDefaults are what a cluster gets that says nothing, by cloud.
var clusterDefaults = map[Profile]struct {
	block      string
	attributes map[string]any
	fields     map[string]any
	poolKeeps  string // the one attribute that stays beside an instance pool
}{
	AWS: {"aws_attributes",
		map[string]any{"availability": "SPOT_WITH_FALLBACK", "zone_id": "us-east-1c", "first_on_demand": json.Number("1"),
			"spot_bid_price_percent": json.Number("100")},
		map[string]any{"enable_elastic_disk": false, "enable_local_disk_encryption": false, "data_security_mode": "SINGLE_USER"},
		"instance_profile_arn"},
	Azure: {"azure_attributes",
		map[string]any{"availability": "ON_DEMAND_AZURE", "first_on_demand": json.Number("1"), "spot_bid_max_price": json.Number("-1")},
		map[string]any{"enable_elastic_disk": true, "enable_local_disk_encryption": false, "data_security_mode": "LEGACY_SINGLE_USER_STANDARD"},
		""},
	GCP: {"gcp_attributes",
		map[string]any{"availability": "ON_DEMAND_GCP", "zone_id": "HA", "use_preemptible_executors": false},
		map[string]any{"enable_elastic_disk": false, "data_security_mode": "NONE"},
		"google_service_account"},
}

// securityModes are other names that the service takes for a data security mode.
var securityModes = map[string]string{
	"STANDARD": "USER_ISOLATION", "DATA_SECURITY_MODE_STANDARD": "USER_ISOLATION",
	"DEDICATED": "SINGLE_USER", "DATA_SECURITY_MODE_DEDICATED": "SINGLE_USER",
	"AUTO": "SINGLE_USER", "DATA_SECURITY_MODE_AUTO": "SINGLE_USER",
}

// fillCluster completes a new_cluster. bare leaves the cloud's defaults out, not the policy's values.
func (w *Workspace) fillCluster(c map[string]any, owner string, bare bool) *failure {
	delete(c, "apply_policy_default_values")
	if id, has := c["policy_id"].(string); has {
		if f := inject(c, w.o.Policies[id], id, ""); f != nil {
			return f
		}
	}
	if bare {
		return nil
	}
	d := clusterDefaults[w.o.Profile]
	if pool, has := c["instance_pool_id"]; has {
		fill(c, "driver_instance_pool_id", pool)
		for _, field := range []string{"node_type_id", "driver_node_type_id", "enable_elastic_disk"} {
			delete(c, field)
		}
		block, _ := c[d.block].(map[string]any)
		kept := map[string]any{}
		if v, has := block[d.poolKeeps]; has {
			kept[d.poolKeeps] = v
		}
		if delete(c, d.block); len(kept) > 0 {
			c[d.block] = kept
		}
	} else {
		if worker, has := c["node_type_id"]; has {
			fill(c, "driver_node_type_id", worker)
		}
		block, _ := c[d.block].(map[string]any)
		if block == nil {
			block = map[string]any{}
			c[d.block] = block
		}
		for field, v := range d.attributes {
			fill(block, field, v)
		}
		fill(c, "enable_elastic_disk", d.fields["enable_elastic_disk"])
	}
	for field, v := range d.fields {
		if field != "enable_elastic_disk" {
			fill(c, field, v)
		}
	}
	if mode, isText := c["data_security_mode"].(string); isText && securityModes[mode] != "" {
		c["data_security_mode"] = securityModes[mode]
	}
	if c["data_security_mode"] == "SINGLE_USER" {
		fill(c, "single_user_name", owner)
	}
	if workload, has := c["workload_type"].(map[string]any); has {
		fill(workload, "clients", empty())
		if clients, isObject := workload["clients"].(map[string]any); isObject {
			fill(clients, "notebooks", true)
			fill(clients, "jobs", true)
		}
	}
	if w.o.Unverified.DeltaPreview {
		fill(c, "spark_conf", empty())
		if conf, isObject := c["spark_conf"].(map[string]any); isObject {
			fill(conf, "spark.databricks.delta.preview.enabled", "true")
		}
	}
	return nil
}

// inject sets what a policy fixes, and refuses what contradicts it.
func inject(object, fixed map[string]any, policy, path string) *failure {
	for field, v := range fixed {
		have, has := object[field]
		if !has {
			object[field] = deepCopy(v)
			continue
		}
		nested, isObject := v.(map[string]any)
		inner, hasObject := have.(map[string]any)
		if isObject && hasObject {
			if f := inject(inner, nested, policy, path+field+"."); f != nil {
				return f
			}
			continue
		}
		if fmt.Sprint(have) != fmt.Sprint(v) {
			return invalid("Cluster validation error: Validation failed for %s%s, the value must be %v (is %v) by policy %s",
				path, field, v, have, policy)
		}
	}
	return nil
}
