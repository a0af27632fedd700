package main

import (
	"strconv"
	"strings"
	"time"
)

// parseDuration reads 90s, 2h30m and, beyond what Go knows, days and weeks: 3d, 1w.
func parseDuration(text string) (time.Duration, error) {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if n, ok := strings.CutSuffix(text, unit); ok {
			if days, err := strconv.ParseUint(n, 10, 8); err == nil && days > 0 {
				return time.Duration(days) * length, nil
			}
		}
	}
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		return 0, hinted("for example 2h or 3d", "%q is no length of time", text)
	}
	return d, err
}

// moment is a point in time as a person wrote it; every is after how many days a time of day or of the
// week comes again, 0 for a date.
type moment struct {
	time.Time
	every int
}

// parseTime reads a point in time in a zone. A time of day is today's, a time of the week is the next one.
func parseTime(text string, now time.Time, zone *time.Location) (moment, error) {
	for _, form := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(form, text, zone); err == nil {
			return moment{t, 0}, nil
		}
	}
	now = now.In(zone)
	at := func(days, hour, minute int) time.Time {
		return time.Date(now.Year(), now.Month(), now.Day()+days, hour, minute, 0, 0, zone)
	}
	if t, err := time.Parse("15:04", text); err == nil {
		return moment{at(0, t.Hour(), t.Minute()), 1}, nil
	}
	if name, clock, ok := strings.Cut(text, " "); ok && len(name) == 3 {
		for days := range 7 {
			t, err := time.Parse("15:04", clock)
			if err == nil && strings.EqualFold(now.AddDate(0, 0, days).Weekday().String()[:3], name) {
				return moment{at(days, t.Hour(), t.Minute()), 7}, nil
			}
		}
	}
	return moment{}, hinted("write 2h, 3d, 18:00, Fri 18:00, 2026-11-23 18:00 or 2026-11-23T18:00:00+01:00", "%q is no time", text)
}

// parseFuture reads a time to come: in how long, a time of day or of the week, or a date and time.
func parseFuture(text string, now time.Time, zone *time.Location) (time.Time, error) {
	if d, err := parseDuration(text); err == nil {
		return now.Add(d), nil
	}
	t, err := parseTime(text, now, zone)
	switch {
	case err != nil:
		return time.Time{}, err
	case t.After(now):
		return t.Time, nil
	case t.every > 0:
		return t.AddDate(0, 0, t.every), nil
	}
	return time.Time{}, hinted("give a time to come", "%s has passed", text)
}

// parsePast reads a time that has passed: how long ago, a time of day or of the week, or a date and time.
func parsePast(text string, now time.Time, zone *time.Location) (time.Time, error) {
	if d, err := parseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	t, err := parseTime(text, now, zone)
	if err == nil && t.After(now) && t.every > 0 {
		return t.AddDate(0, 0, -t.every), nil
	}
	return t.Time, err
}
