-- The tables of whimbrel's job queues, for MariaDB 10.6 or MySQL 8.0.1, or newer:
--
--     whimbrel queue --schema | mysql DATABASE
--
-- What is there already stays as it is. Several queues may share a database: `queue_name` tells them apart. Every time is
-- in UTC. Workers and operators need these rights, and whoever only looks needs SELECT:
--
--     GRANT SELECT, INSERT, UPDATE ON DATABASE.* TO 'w'@'%';
--
-- A producer adds a page and all of its jobs in one transaction. Nobody sees the page before the COMMIT:
--
--     START TRANSACTION;
--     INSERT INTO queue (queue_name, page, added) VALUES ('render', 'monday', UTC_TIMESTAMP(6));
--     SET @page = LAST_INSERT_ID();
--     INSERT INTO job (queue_id, number, tag, work) VALUES
--         (@page, 1, 'grade b', '123^123'),
--         (@page, 2, 'grade a', 'scale=20;sqrt(2)'),
--         (@page, 3, '', '1+1');
--     COMMIT;
--
-- Jobs are not added to a page that is there already: add another page.
--
-- What is finished stays until somebody deletes it; the jobs of a page go with it:
--
--     DELETE FROM queue WHERE state = 'done' AND finished < UTC_TIMESTAMP(6) - INTERVAL 30 DAY;

CREATE TABLE IF NOT EXISTS queue (
    -- Its jobs name it by this.
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    -- The queue to which the page belongs: its name in the config.
    queue_name VARCHAR(128) NOT NULL,
    -- The page's name.
    page VARCHAR(255) NOT NULL,
    -- It waits, a worker has it, or every job of it has a result.
    state ENUM('open', 'claimed', 'done') NOT NULL DEFAULT 'open',
    -- When it was added, as its producer says.
    added DATETIME(6) NULL,
    -- Random, by whoever adds a page: if the COMMIT got no answer, the page is found by it. May be left out.
    ticket CHAR(32) NULL,
    -- When it was last returned, worked in part. NULL: never.
    returned DATETIME(6) NULL,
    -- The VM whose worker has it, or had it last.
    vm VARCHAR(180) NULL,
    -- That worker's start. A new start takes its VM's claims over.
    instance VARCHAR(32) NULL,
    -- New with every claim, and unique. The claim is named VM.INSTANCE.number; what was returned or finished, page.number.
    number BIGINT UNSIGNED NULL,
    -- Random, new with every claim. A worker writes only where it finds its own token.
    token CHAR(32) NULL,
    -- The claim lasts until then, unless it is renewed. Then the worker of any other VM may take it over.
    lease_until DATETIME(6) NULL,
    -- When it was first claimed.
    claimed DATETIME(6) NULL,
    -- When its worker last wrote.
    beat DATETIME(6) NULL,
    -- When its last job had a result.
    finished DATETIME(6) NULL,
    -- What its worker reports, as JSON: jobs in hand, done and set aside, how long they took.
    status LONGTEXT NULL,
    -- The name while nobody has claimed it yet: two such pages of a queue cannot have one name.
    fresh VARCHAR(255) GENERATED ALWAYS AS (IF(state = 'open' AND returned IS NULL, page, NULL)) STORED,
    PRIMARY KEY (id),
    UNIQUE KEY name_is_taken (queue_name, fresh),
    UNIQUE KEY ticket (ticket),
    UNIQUE KEY number (number),
    KEY waiting (queue_name, state, id),
    KEY finished (queue_name, state, finished)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS job (
    -- Its page.
    queue_id BIGINT UNSIGNED NOT NULL,
    -- Its line on the page, from 1 to 1,000,000. Numbers may be left out.
    number INT UNSIGNED NOT NULL,
    -- Its grade: a letter, then letters, digits, blanks, dots, dashes and underscores. Empty: it has none.
    tag VARCHAR(255) NOT NULL DEFAULT '',
    -- What is to be done, in one line of at most 1 MiB. It neither begins with # nor is it empty.
    work MEDIUMTEXT NOT NULL,
    -- It has no result yet, it has one, or it was set aside.
    state ENUM('waiting', 'done', 'failed') NOT NULL DEFAULT 'waiting',
    -- How often it was begun.
    attempts INT UNSIGNED NOT NULL DEFAULT 0,
    -- Its result, byte for byte. NULL unless it is done.
    output LONGBLOB NULL,
    -- Why it was set aside. NULL unless it was.
    error MEDIUMTEXT NULL,
    -- When it was last begun, and when its result came.
    began DATETIME(6) NULL,
    ended DATETIME(6) NULL,
    -- The site where it was worked.
    site VARCHAR(128) NULL,
    -- How long it took, in milliseconds.
    took_ms BIGINT UNSIGNED NULL,
    PRIMARY KEY (queue_id, number),
    -- Jobs are counted in it, without reading their work.
    KEY counts (queue_id, state, tag),
    CONSTRAINT job_of_page FOREIGN KEY (queue_id) REFERENCES queue (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS worker (
    -- Its queue and its VM.
    queue_name VARCHAR(128) NOT NULL,
    vm VARCHAR(180) NOT NULL,
    -- The start of it that counts. An older one that still runs claims and reports nothing more.
    instance VARCHAR(32) NOT NULL,
    -- When it last wrote.
    beat DATETIME(6) NOT NULL,
    -- What it reports of itself, as JSON.
    status LONGTEXT NOT NULL,
    PRIMARY KEY (queue_name, vm)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS control (
    -- The queue, and the VM whose worker is asked.
    queue_name VARCHAR(128) NOT NULL,
    vm VARCHAR(180) NOT NULL,
    -- Grows with each change. A worker reports the one it obeys.
    serial BIGINT UNSIGNED NOT NULL,
    -- What is asked, as JSON.
    control LONGTEXT NOT NULL,
    PRIMARY KEY (queue_name, vm)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
