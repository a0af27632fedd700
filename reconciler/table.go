package reconciler

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"modernc.org/sqlite" // registers the driver, too
	sqlite3 "modernc.org/sqlite/lib"
)

// tableVersion is the form of the rows. A table of another version is thrown away and rebuilt from the
// ledger.
const tableVersion = 3

// table keeps the state on disk, in SQLite, with the number of the last ledger entry that went
// into it. It is derived: deleting the file costs a reading of the whole ledger and nothing else. So its errors
// are kept until flush, and a flush that fails only means that the next start reads more.
type table struct {
	path    string
	db      *sql.DB
	pending map[fact][]byte // what was last put, or nil to drop
	seq     uint64
}

// fact names a row.
type fact struct{ kind, dep, key string }

// open reads the table into s and returns the last entry that is in it. A table that can't be
// read is replaced by an empty one.
func (t *table) open(s *state) (seq uint64, err error) {
	seq, err = t.read(s)
	if err == nil {
		return seq, nil
	}
	return t.replace(s)
}

// replace begins an empty table, and an empty state with it.
func (t *table) replace(s *state) (seq uint64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("make the derived database %s: %w", t.path, full(err))
		}
	}()
	t.pending = nil
	if t.db != nil {
		t.db.Close()
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(t.path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, fmt.Errorf("replace the derived database: %w", err)
		}
	}
	*s = *newState(t)
	return t.read(s)
}

// full gives SQLite's words for a full disk the system's.
func full(err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) {
		switch e.Code() {
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE:
			return fmt.Errorf("%w (%w)", syscall.ENOSPC, err)
		}
	}
	return err
}

func (t *table) read(s *state) (uint64, error) {
	db, err := sql.Open("sqlite", "file:"+t.path+"?_pragma=locking_mode(EXCLUSIVE)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		return 0, err
	}
	db.SetMaxOpenConns(1)
	t.db = db
	var version int
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return 0, err
	}
	if version == 0 {
		_, err := db.Exec(fmt.Sprintf(`
			CREATE TABLE facts (kind TEXT, deployment TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (kind, deployment, key)) WITHOUT ROWID;
			CREATE TABLE cursor (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL);
			INSERT INTO cursor VALUES (1, 0);
			PRAGMA user_version = %d`, tableVersion))
		return 0, err
	}
	if version != tableVersion {
		return 0, fmt.Errorf("the table has version %d", version)
	}
	var seq uint64
	if err := db.QueryRow("SELECT seq FROM cursor").Scan(&seq); err != nil {
		return 0, err
	}
	rows, err := db.Query("SELECT kind, deployment, key, value FROM facts")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var kind, dep, key string
		var value []byte
		if err := rows.Scan(&kind, &dep, &key, &value); err != nil {
			return 0, err
		}
		if err := s.load(kind, dep, key, value); err != nil {
			return 0, err
		}
	}
	return seq, rows.Err()
}

func (t *table) put(kind, dep, key string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types; a map key or value that can't be JSON is a bug
	}
	t.set(fact{kind, dep, key}, b)
}

func (t *table) drop(kind, dep, key string) { t.set(fact{kind, dep, key}, nil) }

func (t *table) set(f fact, value []byte) {
	if t.pending == nil {
		t.pending = map[fact][]byte{}
	}
	t.pending[f] = value
}

func (t *table) cursor(seq uint64) { t.seq = seq }

// flush writes what is pending in one transaction.
func (t *table) flush() error {
	if len(t.pending) == 0 {
		return nil
	}
	tx, err := t.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	put, err := tx.Prepare("INSERT INTO facts VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value")
	if err != nil {
		return err
	}
	drop, err := tx.Prepare("DELETE FROM facts WHERE kind = ? AND deployment = ? AND key = ?")
	if err != nil {
		return err
	}
	for f, value := range t.pending {
		if value == nil {
			_, err = drop.Exec(f.kind, f.dep, f.key)
		} else {
			_, err = put.Exec(f.kind, f.dep, f.key, string(value))
		}
		if err != nil {
			return err
		}
	}
	if _, err := tx.Exec("UPDATE cursor SET seq = ?", t.seq); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	clear(t.pending)
	return nil
}

func (t *table) close() error {
	if t.db == nil {
		return nil
	}
	return errors.Join(t.flush(), t.db.Close())
}
