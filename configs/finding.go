package configs

// Finding is one thing that a room noticed or decided, as a value: the same value feeds the log
// line, the ledger, `selvage why` and every other place where a person asks for the reason.
type Finding struct {
	// Code is stable: programs may depend on it. It is one of the codes in codes.go.
	Code Code `json:"code"`
	// Subject is what the finding is about: a tag, a deployment, a file and field
	// ("jobs/daily/code/databricks-job.json: request.tasks[2].libraries").
	Subject string `json:"subject,omitempty"`
	// Text is one sentence for people that says what happened, with the particulars.
	Text string `json:"text"`
	// Next says what to do about it; empty where nothing needs doing.
	Next string `json:"next,omitempty"`
}

// Found builds a Finding whose text is the sentence of its code followed by the particulars.
func Found(code Code, subject, particulars string) Finding {
	m := codes[code]
	text := m.sentence
	if particulars != "" {
		text += ": " + particulars
	}
	return Finding{Code: code, Subject: subject, Text: text, Next: m.next}
}

// Level is how much a finding of this code weighs.
func (f Finding) Level() Level { return codes[f.Code].level }
