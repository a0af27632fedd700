package main

import (
	"testing"
	"time"
)

func TestTimes(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, zone) // a Monday
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 11, day, hour, minute, 0, 0, zone) }
	for _, c := range []struct {
		text         string
		future, past time.Time // zero: refused
	}{
		{"2h", at(23, 14, 0), at(23, 10, 0)},
		{"3d", at(26, 12, 0), at(20, 12, 0)},
		{"1w", at(30, 12, 0), at(16, 12, 0)},
		{"1h30m", at(23, 13, 30), at(23, 10, 30)},
		{"18:00", at(23, 18, 0), at(22, 18, 0)},
		{"09:00", at(24, 9, 0), at(23, 9, 0)},
		{"Fri 18:00", at(27, 18, 0), at(20, 18, 0)},
		{"mon 09:00", at(30, 9, 0), at(23, 9, 0)},
		{"2026-11-27 18:00", at(27, 18, 0), at(27, 18, 0)},
		{"2026-11-27", at(27, 0, 0), at(27, 0, 0)},
		{"2026-11-27T18:00:00Z", at(27, 19, 0), at(27, 19, 0)},
		{"2026-11-20 18:00", time.Time{}, at(20, 18, 0)},
		{"-2h", time.Time{}, time.Time{}},
		{"0s", time.Time{}, time.Time{}},
		{"0d", time.Time{}, time.Time{}},
		{"25:00", time.Time{}, time.Time{}},
		{"Foo 18:00", time.Time{}, time.Time{}},
		{"tomorrow", time.Time{}, time.Time{}},
		{"", time.Time{}, time.Time{}},
	} {
		future, err := parseFuture(c.text, now, zone)
		if !future.Equal(c.future) || (err != nil) != c.future.IsZero() {
			t.Errorf("until %q: %v, %v, want %v", c.text, future, err, c.future)
		}
		past, err := parsePast(c.text, now, zone)
		if !past.Equal(c.past) || (err != nil) != c.past.IsZero() {
			t.Errorf("since %q: %v, %v, want %v", c.text, past, err, c.past)
		}
	}
}
