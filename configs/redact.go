package configs

import (
	"regexp"
	"strings"
)

// A secret typed into the file is a mistake, and so the file's lines are printed at the very moment
// when a secret stands in them. Two passes keep it off the terminal and out of the log: this one
// reads plain text, so that it also works on files that aren't YAML; the loader adds what it knows
// better once it has a tree (loader.hide).

const masked = "********"

// maxMasked is the longest line that is read for secrets, in bytes; a longer one is not shown at all.
const maxMasked = 2000

var (
	// secretKey is a key whose value is, or may be meant as, a secret; misspelt ones too.
	secretKey = regexp.MustCompile(`(?i)[\w.-]*(?:tok[ea]?n|secret|secrt|pass|pwd|pasw|ssh_?-?key|private|credential|api_?-?key)[\w.-]*\\?["']?\s*[:=]`)
	// references is a value made of references alone, to the end of the value.
	references = regexp.MustCompile(`^\s*["']?(?:\$\{(?:credential|env):[^}"'\s]*\})+["']?\s*(?:$|[,}\]#])`)
	// webUser is the user part of a web address: a token more often than a name.
	webUser = regexp.MustCompile(`(?i)(https?:/*)[^\s"']*@`)
	// password is what stands after the user in any other address.
	password = regexp.MustCompile(`((?:^|[\s"'/])[^\s"':@/]+):/?[^\s"'@/][^\s"'@]*@`)
	// tokenShape is how the tokens of Databricks and of the git hosts begin, wherever they stand.
	tokenShape = regexp.MustCompile(`\b(?:dapi|dkea|dose|ghp_|gho_|ghs_|ghu_|github_pat_|glpat-|eyJ|AKIA)[\w.-]{8,}|-----BEGIN.*`)
	// typedToken is of these what can be nothing else, wherever in a value it stands.
	typedToken = regexp.MustCompile(`\b(?:dapi|dkea|dose)[0-9a-f]{32}|\b(?:ghp_|gho_|ghs_|ghu_|github_pat_|glpat-)[\w-]{16,}|-----BEGIN [A-Z ]*PRIVATE KEY`)
)

// mask hides what looks like a secret in one line.
func mask(line string) string {
	line, _ = maskValues(line)
	line = webUser.ReplaceAllString(line, "${1}"+masked+"@")
	line = password.ReplaceAllString(line, "${1}:"+masked+"@")
	return tokenShape.ReplaceAllString(line, masked)
}

// maskValues hides the rest of the line after the first secret key whose value is more than a
// reference, and reports that the value may go on in the next line.
func maskValues(line string) (string, bool) {
	from := 0
	for {
		loc := secretKey.FindStringIndex(line[from:])
		if loc == nil {
			return line, false
		}
		start, end := from+loc[0], from+loc[1]
		from = end
		if strings.HasSuffix(line[:start], "${") && line[start:end] == "credential:" || harmless(line[start:end]) {
			continue
		}
		if m := references.FindString(line[end:]); m != "" {
			from += len(m)
			continue
		}
		if strings.TrimSpace(line[end:]) == "" {
			return line, true
		}
		return line[:end] + " " + masked, true
	}
}

// harmless reports a key that sounds like a secret and is known not to be one.
func harmless(key string) bool {
	return strings.TrimRight(key, "\"' :=\\") == "databricks_id_token_filepath"
}

// maskLines is mask over a file, with the lines that a secret goes on in: those that are indented
// deeper than its key, and the first one in any case.
func maskLines(lines []string) []string {
	out := make([]string, len(lines))
	inside, depth, first := false, 0, false
	for i, line := range lines {
		indent := len(line) - len(strings.TrimLeft(line, " \t"))
		blank := strings.TrimSpace(line) == ""
		if inside && !blank && (first || indent > depth) {
			out[i], first = line[:indent]+masked, false
			continue
		}
		if !blank {
			inside = false
		}
		if len(line) > maxMasked {
			out[i] = masked
			continue
		}
		out[i] = mask(line)
		if _, open := maskValues(line); open {
			inside, depth = true, indent
			// A value on its own line may stand at any depth inside braces.
			first = secretAtEnd(line)
		}
	}
	return out
}

func secretAtEnd(line string) bool {
	return strings.HasSuffix(strings.TrimRight(line, " \t\"'"), ":")
}
