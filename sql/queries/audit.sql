-- name: append_decision
-- One decision. (ecrivain, rang) is unique: a row can neither be written twice nor take the place of another.
insert into decisions (decision_id, horodatage, cle, dossier, resultat, modele_version, ecrivain, rang, hash_precedent, hash)
values (:decision_id, :horodatage, :cle, :dossier, :resultat, :modele_version, :ecrivain, :rang, :hash_precedent, :hash);

-- name: begin_chain
-- The end of a new chain, with its first rows.
insert into ecrivains (ecrivain, rang, hash) values (:ecrivain, :rang, :hash);

-- name: extend_chain
-- The end of a chain moves with the rows that extend it. No row is changed where another process wrote under the same name.
update ecrivains set rang = :rang, hash = :hash where ecrivain = :ecrivain and rang = :rang_precedent;

-- name: remember_answer
-- The answer to an Idempotency-Key, written with its decision; a second one for the same key is refused.
insert into idempotence (cle, jeton, corps, decision_id) values (:cle, :jeton, :corps, :decision_id);

-- name: answer_given
-- What an Idempotency-Key was answered, and to which body.
select corps, resultat from idempotence join decisions using (decision_id) where idempotence.cle = :cle and jeton = :jeton;

-- name: decision_by_id
-- One decision, to be read and explained.
select decision_id, horodatage, cle, dossier, resultat, modele_version, ecrivain, rang, hash_precedent, hash
from decisions where decision_id = :decision_id;

-- name: decisions_in_order
-- Every decision, each writer's rows in the order in which it chained them.
select decision_id, horodatage, cle, dossier, resultat, modele_version, ecrivain, rang, hash_precedent, hash
from decisions
order by ecrivain, rang;

-- name: chains
-- Where each chain ends.
select ecrivain, rang, hash from ecrivains order by ecrivain;

-- name: audit_answers
-- Fails where a table is missing or the database does not answer.
select rang, (select decision_id from decisions limit 1) as decision_id, (select nom from cles limit 1) as cle from ecrivains limit 1;
