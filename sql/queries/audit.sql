-- name: append_decision
-- Record one decision. (ecrivain, rang) is unique, so no row is written twice or replaces another.
insert into decisions (decision_id, horodatage, cle, dossier, resultat, modele_version, ecrivain, rang, hash_precedent, hash)
values (:decision_id, :horodatage, :cle, :dossier, :resultat, :modele_version, :ecrivain, :rang, :hash_precedent, :hash);

-- name: begin_chain
-- Record the end of a new chain, with its first rows.
insert into ecrivains (ecrivain, rang, hash) values (:ecrivain, :rang, :hash);

-- name: extend_chain
-- Record the new end of a chain, with the rows that extend it. Changes no row if another process wrote to the chain.
update ecrivains set rang = :rang, hash = :hash where ecrivain = :ecrivain and rang = :rang_precedent;

-- name: remember_answer
-- Record which decision answered an Idempotency-Key, with the decision. A second one for the same key is refused.
insert into idempotence (cle, jeton, corps, decision_id) values (:cle, :jeton, :corps, :decision_id);

-- name: answer_given
-- The answer to an Idempotency-Key, and the hash of the body that it answered.
select corps, resultat from idempotence join decisions using (decision_id) where idempotence.cle = :cle and jeton = :jeton;

-- name: decision_by_id
-- One decision by its identifier.
select decision_id, horodatage, cle, dossier, resultat, modele_version, ecrivain, rang, hash_precedent, hash
from decisions where decision_id = :decision_id;

-- name: decisions_in_order
-- Every decision, chain by chain, in the order of the chain.
select decision_id, horodatage, cle, dossier, resultat, modele_version, ecrivain, rang, hash_precedent, hash
from decisions
order by ecrivain, rang;

-- name: chains
-- The recorded end of each chain.
select ecrivain, rang, hash from ecrivains order by ecrivain;

-- name: audit_answers
-- Fails if a table of the service is missing or the database does not answer.
select rang, (select decision_id from decisions limit 1) as decision_id, (select nom from cles limit 1) as cle from ecrivains limit 1;
