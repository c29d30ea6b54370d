BEGIN TRANSACTION;
CREATE TABLE events (
	sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id TEXT NOT NULL, 
	question TEXT, 
	"key" TEXT NOT NULL, 
	annotator TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	action TEXT NOT NULL, 
	value INTEGER, 
	at FLOAT NOT NULL, 
	late INTEGER NOT NULL, 
	UNIQUE (question, annotator, revision), 
	CHECK (revision >= 0), 
	CHECK (late IN (0, 1)), 
	CHECK (action IN ('answer', 'skip', 'undo', 'revise')), 
	CHECK ((value IS NOT NULL) = (action IN ('answer', 'revise'))), 
	CHECK (value >= 0 AND value < 4), 
	UNIQUE (id), 
	FOREIGN KEY(question) REFERENCES questions (id), 
	FOREIGN KEY("key") REFERENCES samples ("key")
);
INSERT INTO "events" VALUES(1,'ffa7af62adb6b1edde9c5ede69ce9984',NULL,'d888630a90b85c06546e7353faf49494','file',0,'answer',0,5.0,0);
INSERT INTO "events" VALUES(2,'184d01b876b7bab4c333cc57e3e4cdf5',NULL,'f69a90ce7ee89e9467e8d51f916bfd67','Zoë',0,'answer',3,6.5,0);
INSERT INTO "events" VALUES(3,'e1','q1','985c3bba58ce166e65b954c68ce044da','ann',0,'answer',2,1800.25,0);
INSERT INTO "events" VALUES(4,'e2','q1','985c3bba58ce166e65b954c68ce044da','ann',1,'revise',3,1801.0,0);
INSERT INTO "events" VALUES(5,'e3','q2','9c3fac93fe6f416c8375f87863a8316b','bob',0,'answer',1,1900.0,1);
INSERT INTO "events" VALUES(6,'e4','q3','0fc0e1d2bc814cd7e55a642312d245ae','ann',0,'skip',NULL,1901.0,0);
CREATE TABLE meta (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('schema','1');
INSERT INTO "meta" VALUES('experiment','digits');
INSERT INTO "meta" VALUES('spec','{"shape":[3],"dtype":"float32","classes":4}');
INSERT INTO "meta" VALUES('run','5eed5eed5eed5eed5eed5eed5eed5eed');
INSERT INTO "meta" VALUES('term','2');
CREATE TABLE plans (
	round INTEGER NOT NULL, 
	"plan" TEXT NOT NULL, 
	result TEXT, 
	PRIMARY KEY (round)
);
INSERT INTO "plans" VALUES(1,'{"round":1,"first_step":1,"rows":["d888630a90b85c06546e7353faf49494","f69a90ce7ee89e9467e8d51f916bfd67","985c3bba58ce166e65b954c68ce044da"],"values":[0,3,3],"seed":7,"epochs":10,"batch_size":20,"loss":"cross_entropy","base_version":0}','{"round":1,"model_version":10,"digest":"abababababababababababababababababababababababababababababababab","labels":3,"accuracy":0.5,"loss":1.25,"calibration_error":null,"train_loss":1.5,"seconds":0.75,"extra":{"strategy":"margin"}}');
INSERT INTO "plans" VALUES(2,'{"round":2,"first_step":11,"rows":["d888630a90b85c06546e7353faf49494","f69a90ce7ee89e9467e8d51f916bfd67","985c3bba58ce166e65b954c68ce044da","9c3fac93fe6f416c8375f87863a8316b"],"values":[0,3,3,1],"seed":7,"epochs":10,"batch_size":20,"loss":"cross_entropy","base_version":10}',NULL);
CREATE TABLE pool (
	one INTEGER NOT NULL CHECK (one = 1), 
	snapshot BLOB NOT NULL, 
	PRIMARY KEY (one)
);
INSERT INTO "pool" VALUES(1,X'00706F6F6C');
CREATE TABLE questions (
	number INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	round INTEGER NOT NULL, 
	strategy TEXT NOT NULL, 
	score FLOAT, 
	rank INTEGER NOT NULL, 
	model_version INTEGER NOT NULL, 
	stale INTEGER NOT NULL, 
	pool INTEGER NOT NULL, 
	asked_at FLOAT NOT NULL, 
	probabilities TEXT NOT NULL, 
	closed TEXT CHECK (closed <> ''), 
	PRIMARY KEY (number), 
	UNIQUE (id), 
	FOREIGN KEY("key") REFERENCES samples ("key")
);
INSERT INTO "questions" VALUES(1,'q1','985c3bba58ce166e65b954c68ce044da',1,'margin',0.25,1,20,0,200,1700.5,'[0.1, 0.2, 0.3, 0.4]','answered');
INSERT INTO "questions" VALUES(2,'q2','9c3fac93fe6f416c8375f87863a8316b',1,'margin',NULL,1,20,0,200,1700.5,'[0.1, 0.2, 0.3, 0.4]','timed_out');
INSERT INTO "questions" VALUES(3,'q3','0fc0e1d2bc814cd7e55a642312d245ae',1,'margin',0.25,1,20,0,200,1700.5,'[0.1, 0.2, 0.3, 0.4]',NULL);
CREATE TABLE samples (
	"key" TEXT NOT NULL, 
	features BLOB NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "samples" VALUES('d888630a90b85c06546e7353faf49494',X'00002041CDCCCC3D000080BF');
INSERT INTO "samples" VALUES('f69a90ce7ee89e9467e8d51f916bfd67',X'00003041CDCCCC3D000080BF');
INSERT INTO "samples" VALUES('985c3bba58ce166e65b954c68ce044da',X'0000803FCDCCCC3D000080BF');
INSERT INTO "samples" VALUES('9c3fac93fe6f416c8375f87863a8316b',X'00000040CDCCCC3D000080BF');
INSERT INTO "samples" VALUES('0fc0e1d2bc814cd7e55a642312d245ae',X'00004040CDCCCC3D000080BF');
CREATE INDEX open_questions ON questions (number) WHERE closed IS NULL;
CREATE UNIQUE INDEX one_import ON events ("key", annotator, revision) WHERE question IS NULL;
CREATE TRIGGER no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER no_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'append-only'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',6);
COMMIT;
