package databricks

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// The longest expression that is judged, in bytes, and the days that are looked at for the gap between the last run of
// one day and the first of another: five years hold every pair of days that a calendar has.
const (
	longestCron = 256
	daysOfCron  = 5 * 366
)

var errCron = errors.New("it can't be judged")

// quartzInterval is the least time between two runs of a Quartz cron expression: seconds, minutes, hours, day of month,
// month, day of week (1 is Sunday) and perhaps years. It is judged in UTC: that an hour is left out or comes twice when
// clocks are changed is nobody's setting. The years are not looked at: they only leave runs out.
func quartzInterval(expression string) (time.Duration, error) {
	if len(expression) > longestCron {
		return 0, fmt.Errorf("%w: it has more than %d characters", errCron, longestCron)
	}
	fields := strings.Fields(strings.ToUpper(expression))
	if len(fields) == 7 && !quartzYears.MatchString(fields[6]) || len(fields) < 6 || len(fields) > 7 {
		return 0, fmt.Errorf("%w: expected six fields, from seconds to the day of the week, and perhaps years", errCron)
	}
	if (fields[3] == "?") == (fields[5] == "?") {
		return 0, fmt.Errorf("%w: expected ? for the day of the month or for the day of the week, and not for both", errCron)
	}
	plain := make([]string, 6)
	once := false // at most one day of each month
	for i, f := range fields[:6] {
		var err error
		if pick := quartzFields[i].once; pick != nil && pick.MatchString(f) {
			once = true
			plain[i] = "*"
		} else if plain[i], err = quartzFields[i].plain(f); err != nil {
			return 0, fmt.Errorf("%w: %s: %w", errCron, quartzFields[i].name, err)
		}
	}
	if once {
		plain[3], plain[5] = "15", "*"
	}
	parsed, err := quartzParser.Parse("TZ=UTC " + strings.Join(plain, " "))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errCron, err)
	}
	schedule, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return 0, errCron
	}
	least, err := shortestGap(schedule)
	if once && err == nil {
		least = min(least, nearestPicks)
	}
	return least, err
}

// nearestPicks is how near the picked days of two months may be: 15W is the 17th of January and the 14th of February
// at the nearest, and a few others come nearer.
const nearestPicks = 25 * 24 * time.Hour

var quartzParser = cron.NewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// shortestGap finds the least gap. Each day that has runs has them at the same times, so that one day says all within
// days; between days it is that of the last run and the next.
func shortestGap(s *cron.SpecSchedule) (time.Duration, error) {
	times := timesOfDay(s)
	if len(times) == 0 {
		return 0, fmt.Errorf("%w: it never runs", errCron)
	}
	least := time.Duration(0)
	shorter := func(d time.Duration) {
		if least == 0 || d < least {
			least = d
		}
	}
	for i := 1; i < len(times); i++ {
		shorter(times[i] - times[i-1])
	}
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Second)
	end := at.AddDate(0, 0, daysOfCron)
	last := time.Time{}
	for at.Before(end) {
		next := s.Next(at)
		if next.IsZero() {
			break
		}
		if !last.IsZero() {
			shorter(next.Sub(last))
		}
		last = next.Truncate(24 * time.Hour).Add(times[len(times)-1])
		at = last
	}
	switch {
	case last.IsZero():
		return 0, fmt.Errorf("%w: it never runs", errCron)
	case least == 0:
		return 5 * 366 * 24 * time.Hour, nil // once, as far as one can see
	}
	return least, nil
}

// timesOfDay are the times of a day at which it runs, in order.
func timesOfDay(s *cron.SpecSchedule) []time.Duration {
	var times []time.Duration
	for h := range 24 {
		for m := range 60 {
			if s.Hour&(1<<h) == 0 || s.Minute&(1<<m) == 0 {
				continue
			}
			for sec := range 60 {
				if s.Second&(1<<sec) != 0 {
					times = append(times, time.Duration((h*60+m)*60+sec)*time.Second)
				}
			}
		}
	}
	return times
}

// quartzField is one field of an expression, and how Quartz counts in it.
type quartzField struct {
	name        string
	first, last int
	names       []string       // of the values from first on
	once        *regexp.Regexp // what picks at most one day of a month; nil for none
	back        int            // how much more Quartz counts than cron does
}

var (
	quartzYears  = regexp.MustCompile(`^(?:\*|[0-9]{4}(?:-[0-9]{4})?(?:,[0-9]{4}(?:-[0-9]{4})?){0,30}|(?:\*|[0-9]{4})/[0-9]{1,3})$`)
	quartzFields = [6]quartzField{
		{name: "seconds", first: 0, last: 59},
		{name: "minutes", first: 0, last: 59},
		{name: "hours", first: 0, last: 23},
		{name: "the day of the month", first: 1, last: 31, once: regexp.MustCompile(`^(?:LW?|L-(?:[1-9]|[12][0-9]|30)W?|(?:[1-9]|[12][0-9]|3[01])W)$`)},
		{name: "the month", first: 1, last: 12, names: strings.Fields("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC")},
		{name: "the day of the week", first: 1, last: 7, names: strings.Fields("SUN MON TUE WED THU FRI SAT"), back: 1,
			once: regexp.MustCompile(`^(?:[1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)(?:L|#[1-5])$`)},
	}
)

// plain is the field as robfig/cron reads it, with each value written out: the ranges of Quartz may go over the end,
// and its week begins with 1.
func (f quartzField) plain(text string) (string, error) {
	if text == "*" || text == "?" && f.once != nil {
		return "*", nil
	}
	var values []int
	for part := range strings.SplitSeq(text, ",") {
		more, err := f.values(part)
		if err != nil {
			return "", err
		}
		values = append(values, more...)
	}
	slices.Sort(values)
	var written []string
	for _, v := range slices.Compact(values) {
		written = append(written, strconv.Itoa(v-f.back))
	}
	return strings.Join(written, ","), nil
}

// values are those of one part of a list: 5, 1-5, 22-2, */15, 0/15, 5-20/5.
func (f quartzField) values(part string) ([]int, error) {
	bad := fmt.Errorf("%q is not understood", shorten(part, 20))
	span, by, stepped := strings.Cut(part, "/")
	step := 1
	if stepped {
		n, err := strconv.Atoi(by)
		if err != nil || n < 1 || n > f.last || strings.ContainsAny(by, "+-") {
			return nil, bad
		}
		step = n
	}
	from, to, ranged := strings.Cut(span, "-")
	first, last := f.first, f.last
	if span != "*" {
		var ok bool
		if first, ok = f.value(from); !ok {
			return nil, bad
		}
		if last, ok = f.value(to); ranged && !ok {
			return nil, bad
		}
		switch {
		case ranged && last < first: // over the end
			last += f.last - f.first + 1
		case !ranged && stepped:
			last = f.last
		case !ranged:
			last = first
		}
	}
	var values []int
	for v := first; v <= last; v += step {
		values = append(values, f.first+(v-f.first)%(f.last-f.first+1))
	}
	return values, nil
}

func (f quartzField) value(s string) (int, bool) {
	if i := slices.Index(f.names, s); i >= 0 {
		return f.first + i, true
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= f.first && n <= f.last && !strings.ContainsAny(s, "+-")
}

// triggerInterval is the least time between two runs by what starts a job when something happens, or periodically.
func triggerInterval(trigger map[string]any) (time.Duration, error) {
	var all []time.Duration
	for _, kind := range slices.Sorted(maps.Keys(trigger)) {
		settings, ok := trigger[kind].(map[string]any)
		switch kind {
		case "pause_status":
		case "periodic":
			every, isNumber := wholeNumber(settings["interval"])
			unit := triggerUnits[fmt.Sprint(settings["unit"])]
			if !ok || !isNumber || unit == 0 || every < 1 {
				return 0, errors.New("it can't be judged: expected periodic with an interval above 0 and a unit")
			}
			all = append(all, time.Duration(min(every, 1000))*unit)
		case "file_arrival", "table_update", "table":
			least := settings["min_time_between_triggers_seconds"]
			every, isNumber := wholeNumber(least)
			if !ok || least != nil && !isNumber {
				return 0, errors.New("it can't be judged: expected a number of min_time_between_triggers_seconds")
			}
			all = append(all, time.Duration(max(0, min(every, 1e9)))*time.Second)
		default:
			return 0, fmt.Errorf("it can't be judged: %q is no trigger that selvage knows", shorten(kind, 40))
		}
	}
	if len(all) == 0 {
		return 0, errors.New("it can't be judged: it says nothing")
	}
	return slices.Min(all), nil
}

var triggerUnits = map[string]time.Duration{"MINUTES": time.Minute, "HOURS": time.Hour, "DAYS": 24 * time.Hour, "WEEKS": 7 * 24 * time.Hour}

// wholeNumber reads a whole number of a definition: 2, and 2.0 too.
func wholeNumber(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	if i, err := n.Int64(); err == nil {
		return i, true
	}
	f, err := n.Float64()
	return int64(f), err == nil && f > -1e15 && f < 1e15 && f == float64(int64(f))
}
