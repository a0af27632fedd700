package databricks

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestQuartzInterval(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		expression string
		want       time.Duration // 0: can't be judged
	}{
		{"0 0 5 * * ?", day},
		{"0 0 5 ? * *", day},
		{"0 0 5 * * ? *", day},
		{"0 0 5 * * ? 2026-2030", day},
		{"0 0 5 ? * MON-FRI", day},
		{"0 0 5 ? * 2-6", day},
		{"0 0 5 ? * 1", 7 * day},
		{"0 0 5 ? * 7,1", day}, // Saturday and Sunday
		{"0 0 5 ? * 6-1", day}, // Friday to Sunday
		{"0 0 5 ? * FRI,mon", 3 * day},
		{"* * * * * ?", time.Second},
		{"0 * * * * ?", time.Minute},
		{"0 */15 * * * ?", 15 * time.Minute},
		{"0 0/15 * * * ?", 15 * time.Minute},
		{"0 0/7 * * * ?", 4 * time.Minute}, // 56 and then 60
		{"0 5-20/5 3 * * ?", 5 * time.Minute},
		{"0 0 22-2 * * ?", time.Hour},
		{"0 0 0,23 * * ?", time.Hour},
		{"0 0 0,23 ? * MON", 23 * time.Hour},  // no day follows
		{"0 0 0,23 ? * MON,TUE", time.Hour},   // one does
		{"59,0 59,0 23,0 * * ?", time.Second}, // over midnight
		{"0 0,1 3 1 1 ?", time.Minute},        // once a year, and then twice
		{"0 0 0 29 2 ?", (3*365 + 366) * day}, // in leap years
		{"0 0 5 L * ?", 25 * day},             // months are at least so far apart
		{"0 0 5 L-3 * ?", 25 * day},           //
		{"0 0 5 LW * ?", 25 * day},            //
		{"0 0 5 15W * ?", 25 * day},           //
		{"0 0 5 ? * 6#3", 25 * day},           // the third Friday
		{"0 0 5 ? * FRIL", 25 * day},          // the last one
		{"0 0,1 5 L * ?", time.Minute},        //
		{"0 0 5 1 jan,JUL ?", (31 + 28 + 31 + 30 + 31 + 30) * day},
		{"  0  0 5 * *   ? ", day},

		{"", 0},
		{"0 5 * * *", 0},     // of Unix
		{"0 0 5 * * *", 0},   // no day is left open
		{"0 0 5 ? * ?", 0},   // both are
		{"0 0 5 31 2 ?", 0},  // never
		{"60 0 5 * * ?", 0},  //
		{"0 0 24 * * ?", 0},  //
		{"0 0 5 32 * ?", 0},  //
		{"0 0 5 ? * 8", 0},   //
		{"0 0 5 ? * 0", 0},   //
		{"0 0 5 ? 13 2", 0},  //
		{"0 0/0 5 * * ?", 0}, //
		{"0 0/-1 5 * * ?", 0},
		{"0 +5 5 * * ?", 0},
		{"0 5- 5 * * ?", 0},
		{"0 -5 5 * * ?", 0},
		{"0 ,5 5 * * ?", 0},
		{"0 /5 5 * * ?", 0},
		{"0 0 5 1,L * ?", 0},
		{"0 0 5 ? * L", 0},
		{"? 0 5 * * ?", 0},
		{"0 0 H * * ?", 0},
		{"0 0 5 * * ? x", 0},
		{"0 0 5 * * ? * *", 0},
		{"@every 1s", 0},
		{"TZ=UTC 0 0 5 * ?", 0},
		{"0 " + strings.Repeat("1,", 200) + "1 5 * * ?", 0},
	} {
		got, err := quartzInterval(tt.expression)
		if tt.want == 0 {
			if !errors.Is(err, errCron) {
				t.Errorf("%q: %s, %v; want that it can't be judged", tt.expression, got, err)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%q: %s, %v; want %s", tt.expression, got, err, tt.want)
		}
	}
}

// FuzzQuartzInterval: no expression takes long, and none makes it panic.
func FuzzQuartzInterval(f *testing.F) {
	for _, s := range []string{"0 0 5 * * ?", "* * * * * ?", "0/1 0-59 0,23 L * ?", "0 0 5 ? JAN-DEC 6#3 2020-2099", "59-0 1/59 * 15W */2 ?"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		begin := time.Now()
		d, err := quartzInterval(s)
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("%q took %s", s, took)
		}
		if err == nil && d < time.Second {
			t.Errorf("%q: %s", s, d)
		}
	})
}

func TestTriggerInterval(t *testing.T) {
	for _, tt := range []struct {
		trigger string
		want    time.Duration
		err     string
	}{
		{`{"periodic":{"interval":2,"unit":"HOURS"}}`, 2 * time.Hour, ""},
		{`{"periodic":{"interval":1,"unit":"DAYS"},"pause_status":"PAUSED"}`, 24 * time.Hour, ""},
		{`{"periodic":{"interval":1.0,"unit":"WEEKS"}}`, 7 * 24 * time.Hour, ""},
		{`{"periodic":{"interval":99999999999999,"unit":"WEEKS"}}`, 7000 * 24 * time.Hour, ""},
		{`{"file_arrival":{"url":"/Volumes/a/b/c","min_time_between_triggers_seconds":60}}`, time.Minute, ""},
		{`{"file_arrival":{"url":"/Volumes/a/b/c"}}`, 0, ""},
		{`{"table_update":{"table_names":["a"],"min_time_between_triggers_seconds":600}}`, 10 * time.Minute, ""},
		{`{"file_arrival":{"min_time_between_triggers_seconds":600},"periodic":{"interval":1,"unit":"MINUTES"}}`, time.Minute, ""},
		{`{"periodic":{"interval":0,"unit":"HOURS"}}`, 0, "interval above 0"},
		{`{"periodic":{"interval":1,"unit":"FORTNIGHTS"}}`, 0, "a unit"},
		{`{"periodic":{"interval":"1","unit":"HOURS"}}`, 0, "interval above 0"},
		{`{"file_arrival":{"min_time_between_triggers_seconds":"60"}}`, 0, "expected a number"},
		{`{"file_arrival":7}`, 0, "expected a number"},
		{`{"model":{}}`, 0, `"model" is no trigger`},
		{`{"pause_status":"PAUSED"}`, 0, "it says nothing"},
	} {
		got, err := triggerInterval(doc(t, tt.trigger).Object())
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %s, %v; want %q", tt.trigger, got, err, tt.err)
			}
		} else if err != nil || got != tt.want {
			t.Errorf("%s: %s, %v; want %s", tt.trigger, got, err, tt.want)
		}
	}
}
