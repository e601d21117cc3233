-- Read models: disposable folds of the log, rebuilt by `learnd rebuild`. Nothing here is a source of truth.
CREATE TABLE IF NOT EXISTS {prefix}jobs (
    id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    repo_id TEXT NOT NULL,
    repo_path TEXT NOT NULL,
    task_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    manifest_path TEXT NOT NULL,
    started_at TEXT,
    completed_at TEXT,
    status TEXT NOT NULL,
    since TEXT NOT NULL,
    because TEXT NOT NULL,
    because_position INTEGER NOT NULL,
    cause TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    evidence TEXT,
    isolation TEXT,
    scenario_source TEXT,
    pattern TEXT,
    diff_sha256 TEXT,
    tree TEXT,
    spent_usd REAL NOT NULL DEFAULT 0,
    urgent INTEGER NOT NULL DEFAULT 0,
    retry_at TEXT,
    tarball TEXT,
    tarball_copy TEXT,
    freed_bytes INTEGER,
    service TEXT,
    closes_at TEXT,
    group_id TEXT,
    lead TEXT,
    group_base TEXT,
    group_diff TEXT,
    opened_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS {prefix}jobs_lead ON {prefix}jobs (lead) WHERE lead IS NOT NULL;
CREATE INDEX IF NOT EXISTS {prefix}jobs_run ON {prefix}jobs (repo_id, task_id, run_id);
CREATE TABLE IF NOT EXISTS {prefix}patterns (
    id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    repo_id TEXT NOT NULL,
    repo_path TEXT NOT NULL,
    job_id TEXT NOT NULL,
    manifest_path TEXT NOT NULL,
    title TEXT NOT NULL,
    slug TEXT NOT NULL,
    status TEXT NOT NULL,
    since TEXT NOT NULL,
    promoted_at TEXT,
    regressions INTEGER NOT NULL DEFAULT 0,
    verdict TEXT NOT NULL,
    gate TEXT,
    detail TEXT NOT NULL DEFAULT '',
    approver TEXT,
    reason TEXT NOT NULL DEFAULT '',
    evidence_count INTEGER NOT NULL DEFAULT 1,
    last_seen TEXT NOT NULL DEFAULT '',
    reviewing INTEGER NOT NULL DEFAULT 0,
    rule_due INTEGER NOT NULL DEFAULT 0,
    staged_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS {prefix}patterns_job ON {prefix}patterns (job_id);
-- What patterns are compared by: `likeness_fold.py`. Sets are a value a line.
CREATE TABLE IF NOT EXISTS {prefix}likenesses (
    pattern TEXT PRIMARY KEY,
    repo_id TEXT NOT NULL,
    text TEXT NOT NULL,
    symbols TEXT NOT NULL,
    paths TEXT NOT NULL,
    removed TEXT NOT NULL,
    added TEXT NOT NULL,
    rule TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS {prefix}likenesses_repo ON {prefix}likenesses (repo_id);
-- What agents are shown: `search_fold.py`. The index has active patterns only, by their `number`.
CREATE TABLE IF NOT EXISTS {prefix}pattern_texts (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    text TEXT NOT NULL,
    indexed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE VIRTUAL TABLE IF NOT EXISTS {prefix}pattern_search USING fts5(
    title, problem, applies_when, tags, paths, tokenize = 'porter unicode61 remove_diacritics 2'
);
-- Of a pattern's stream of use: `usage_fold.py`.
CREATE TABLE IF NOT EXISTS {prefix}usage (
    id TEXT PRIMARY KEY,
    served INTEGER NOT NULL DEFAULT 0,
    served_on TEXT,
    helped INTEGER NOT NULL DEFAULT 0,
    did_not_help INTEGER NOT NULL DEFAULT 0,
    wrong INTEGER NOT NULL DEFAULT 0,
    reported_at TEXT
) STRICT;
-- The verified structural rule of each pattern that has one.
CREATE TABLE IF NOT EXISTS {prefix}rules (
    pattern TEXT PRIMARY KEY,
    text TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    language TEXT NOT NULL,
    has_fix INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS {prefix}repositories (
    id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    path TEXT NOT NULL,
    common_dir TEXT NOT NULL,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    root_commit TEXT,
    registered_at TEXT NOT NULL,
    forgotten_at TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS {prefix}work_trees (
    path TEXT PRIMARY KEY,
    repo_id TEXT NOT NULL,
    since TEXT NOT NULL
) STRICT;
-- Files that were taken out of an `active/`, as they were first: somebody may look for them.
CREATE TABLE IF NOT EXISTS {prefix}unknown_files (
    repo_id TEXT NOT NULL,
    path TEXT NOT NULL,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    kept TEXT NOT NULL,
    claims TEXT,
    link INTEGER NOT NULL,
    at TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (path, name, sha256)
) STRICT;
CREATE TABLE IF NOT EXISTS {prefix}faults (
    kind TEXT PRIMARY KEY,
    detail TEXT NOT NULL,
    since TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS {prefix}daemon (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    boot_id TEXT,
    pid INTEGER,
    learning_enabled INTEGER NOT NULL,
    since TEXT NOT NULL
) STRICT;
-- What metrics are made of: `measures/taken.py` says which event adds which row. Times are milliseconds since 1970.
CREATE TABLE IF NOT EXISTS {prefix}measures (
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    position INTEGER NOT NULL,
    repo_id TEXT NOT NULL,
    label TEXT NOT NULL,
    about TEXT NOT NULL,
    began INTEGER,
    amount REAL NOT NULL,
    PRIMARY KEY (kind, at, position)
) STRICT, WITHOUT ROWID;
-- Tests that flaked on a job's base, that is without its change. A flake seen with the change alone may be its doing.
CREATE TABLE IF NOT EXISTS {prefix}flaky_tests (
    repo_id TEXT NOT NULL,
    test TEXT NOT NULL,
    job_id TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (repo_id, test, job_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS {prefix}alerts (
    id TEXT PRIMARY KEY,
    stream TEXT NOT NULL,
    kind TEXT NOT NULL,
    about TEXT NOT NULL,
    severity TEXT NOT NULL,
    message TEXT NOT NULL,
    raised_at TEXT NOT NULL,
    event_id TEXT NOT NULL,
    over_at TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS {prefix}alerts_open ON {prefix}alerts (stream) WHERE over_at IS NULL;
CREATE TABLE IF NOT EXISTS {prefix}alert_channels (
    alert TEXT NOT NULL,
    channel TEXT NOT NULL,
    target TEXT NOT NULL,
    delivered_at TEXT,
    resolved_at TEXT,
    receipt TEXT NOT NULL DEFAULT '',
    error TEXT,
    failed_at TEXT,
    PRIMARY KEY (alert, channel)
) STRICT;
CREATE INDEX IF NOT EXISTS {prefix}alert_channels_open ON {prefix}alert_channels (alert) WHERE resolved_at IS NULL;
