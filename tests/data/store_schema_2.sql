BEGIN TRANSACTION;
CREATE TABLE chain (
	number INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	place TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "chain" VALUES(1,'meta','experiment','bf67ac3759bfe41262d75711b65b4a91');
INSERT INTO "chain" VALUES(2,'meta','layout','5cdb23366e7cf3dc08c34b54b52acfeb');
INSERT INTO "chain" VALUES(3,'meta','run','c6f9bdddecf49152d0868fbb6ca218c8');
INSERT INTO "chain" VALUES(4,'meta','schema','63c40691954403dfdbb47d660c9d27f9');
INSERT INTO "chain" VALUES(5,'meta','spec','f4db7de4ce8a698316aff5f2316e3336');
INSERT INTO "chain" VALUES(6,'began','1','da8a7ae5096b06e17abd4dbe51f13295');
INSERT INTO "chain" VALUES(7,'began','2','952c1c6cdad9a0c374332e8bcfc4d3f1');
INSERT INTO "chain" VALUES(8,'said','1','54b92fd92fcb9c0d6d9f5e3cec315e48');
INSERT INTO "chain" VALUES(9,'said','2','129d929df6ddde7269c55854a3c8e18b');
INSERT INTO "chain" VALUES(10,'asked','1','65dd9e0b30fdda7de8b7cbf4047b7dad');
INSERT INTO "chain" VALUES(11,'asked','2','27cf411d6ec380173ca61b07e1dde4e1');
INSERT INTO "chain" VALUES(12,'asked','3','363604577b45aacec642ce80f725c4b3');
INSERT INTO "chain" VALUES(13,'said','3','e4f625bcb3ba9e17d970c00e93844dc1');
INSERT INTO "chain" VALUES(14,'said','4','b1cd2a2d5fb677f47141dfa380fe21d5');
INSERT INTO "chain" VALUES(15,'closed','1','f0f00ac455db6284a393ffe62dd2ba54');
INSERT INTO "chain" VALUES(16,'closed','2','34f1a06f4cff171cfa7cc142c9c927cf');
INSERT INTO "chain" VALUES(17,'said','5','f700ee52563b31f9e7e50f1bbfaa5382');
INSERT INTO "chain" VALUES(18,'said','6','fb96a425f2cf9227ebc2e7f9995f79e7');
INSERT INTO "chain" VALUES(19,'said','7','6b94012f15426302cf19b8ea630393e4');
INSERT INTO "chain" VALUES(20,'said','8','6bea5c0a4b39d9b31acbae342478f1ae');
INSERT INTO "chain" VALUES(21,'quarantined','1','ec086f44ff1c6a5acc0639eebeae3b29');
INSERT INTO "chain" VALUES(22,'planned','1','1583c69b36689b9c3a0b042c8231c654');
INSERT INTO "chain" VALUES(23,'finished','1','121ca37178a663aaf3e9f42da72ec20a');
INSERT INTO "chain" VALUES(24,'planned','2','70a46b8449f56bf698202c6870b94b3b');
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
INSERT INTO "events" VALUES(7,'e5','q1','985c3bba58ce166e65b954c68ce044da','bob',0,'answer',2,1902.0,0);
INSERT INTO "events" VALUES(8,'e6','q1','985c3bba58ce166e65b954c68ce044da','bob',1,'undo',NULL,1903.0,0);
CREATE TABLE meta (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('schema','2');
INSERT INTO "meta" VALUES('experiment','digits');
INSERT INTO "meta" VALUES('spec','{"shape":[3],"dtype":"float32","classes":4}');
INSERT INTO "meta" VALUES('run','5eed5eed5eed5eed5eed5eed5eed5eed');
INSERT INTO "meta" VALUES('layout','428994243ff30baa755b8884f09f3d63');
CREATE TABLE plans (
	round INTEGER NOT NULL, 
	"plan" TEXT NOT NULL, 
	result TEXT, 
	PRIMARY KEY (round)
);
INSERT INTO "plans" VALUES(1,'{"round":1,"first_step":1,"rows":["d888630a90b85c06546e7353faf49494","f69a90ce7ee89e9467e8d51f916bfd67","985c3bba58ce166e65b954c68ce044da","9c3fac93fe6f416c8375f87863a8316b"],"values":[0,3,3,1],"seed":7,"epochs":10,"batch_size":20,"loss":"cross_entropy","base_version":0}','{"round":1,"model_version":10,"digest":"abababababababababababababababababababababababababababababababab","labels":4,"accuracy":0.5,"loss":1.25,"calibration_error":null,"train_loss":1.5,"seconds":0.75,"extra":{"stages":1}}');
INSERT INTO "plans" VALUES(2,'{"round":2,"first_step":11,"rows":["d888630a90b85c06546e7353faf49494","f69a90ce7ee89e9467e8d51f916bfd67","985c3bba58ce166e65b954c68ce044da","9c3fac93fe6f416c8375f87863a8316b"],"values":[0,3,3,1],"seed":7,"epochs":10,"batch_size":20,"loss":"cross_entropy","base_version":10}',NULL);
CREATE TABLE pool (
	one INTEGER NOT NULL CHECK (one = 1), 
	snapshot BLOB NOT NULL, 
	digest TEXT, 
	PRIMARY KEY (one)
);
INSERT INTO "pool" VALUES(1,X'00706F6F6C','7c7d34af45ee46d61b8960a9058e411f');
CREATE TABLE quarantine (
	number INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	question TEXT NOT NULL, 
	annotator TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	action TEXT NOT NULL, 
	value INTEGER, 
	at FLOAT NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (id)
);
INSERT INTO "quarantine" VALUES(1,'stray','q9','eve',0,'answer',1,1904.0);
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
CREATE TABLE terms (
	term INTEGER NOT NULL, 
	holder TEXT NOT NULL, 
	PRIMARY KEY (term)
);
INSERT INTO "terms" VALUES(1,'process 1 of a machine');
INSERT INTO "terms" VALUES(2,'process 1 of a machine');
CREATE TRIGGER chain_no_update BEFORE UPDATE ON chain BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER chain_no_delete BEFORE DELETE ON chain BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE INDEX open_questions ON questions (number) WHERE closed IS NULL;
CREATE UNIQUE INDEX one_import ON events ("key", annotator, revision) WHERE question IS NULL;
CREATE TRIGGER no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER no_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'append-only'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',8);
COMMIT;
