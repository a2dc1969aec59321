-- The bank: one text for MariaDB and SQLite. Ranges and categories are those of credit_risk/contract.py, and
-- a test violates each of them.
-- MariaDB reads the text inside /*! … */; for SQLite it is a comment. The collation utf8mb4_nopad_bin compares
-- accents and trailing blanks: 'Defaut' differs from 'Défaut', and 'auto ' from 'auto'.
-- SQLite has no type for dates: the check "date(x) is not null and date(x) = x" refuses there what MariaDB refuses
-- by its type, with the exception of days such as 31 February.

create table clients (
  client_id          integer not null primary key,
  date_naissance     date not null,
  sexe               varchar(1),               -- for the audit of fairness only; no feature reads it
  situation_familiale varchar(20),
  personnes_a_charge integer,
  statut_logement    varchar(20),
  statut_emploi      varchar(20),
  date_embauche      date,
  revenu_mensuel     decimal(12,2),            -- net, euros a month
  charges_mensuelles decimal(12,2),            -- euros a month
  departement        varchar(5),
  constraint clients_client_id check (client_id > 0),
  constraint clients_date_naissance check (date(date_naissance) is not null and date(date_naissance) = date_naissance),
  constraint clients_sexe check (sexe in ('F', 'H')),
  constraint clients_situation_familiale check (situation_familiale in ('celibataire', 'marie', 'pacse', 'divorce', 'veuf')),
  constraint clients_personnes_a_charge check (personnes_a_charge between 0 and 20),
  constraint clients_statut_logement check (statut_logement in ('proprietaire', 'accedant', 'locataire', 'heberge')),
  constraint clients_statut_emploi check (statut_emploi in ('cdi', 'cdd', 'interim', 'fonctionnaire', 'independant', 'retraite', 'etudiant', 'sans_emploi')),
  constraint clients_date_embauche check (date_embauche is null or date(date_embauche) is not null and date(date_embauche) = date_embauche and date_embauche > date_naissance),
  constraint clients_revenu_mensuel check (revenu_mensuel between 0 and 1000000),
  constraint clients_charges_mensuelles check (charges_mensuelles between 0 and 1000000)
) /*! engine = InnoDB default character set utf8mb4 collate utf8mb4_nopad_bin */;

create table comptes (
  compte_id          integer not null primary key,
  client_id          integer not null,
  type_compte        varchar(10) not null,
  date_ouverture     date not null,
  solde              decimal(14,2),            -- euros, today; no dossier reads it
  decouvert_autorise decimal(12,2),            -- euros
  constraint comptes_client foreign key (client_id) references clients (client_id),
  constraint comptes_compte_id check (compte_id > 0),
  constraint comptes_type_compte check (type_compte in ('courant', 'epargne')),
  constraint comptes_date_ouverture check (date(date_ouverture) is not null and date(date_ouverture) = date_ouverture),
  constraint comptes_solde check (solde between -10000000 and 100000000),
  constraint comptes_decouvert_autorise check (decouvert_autorise between 0 and 1000000)
) /*! engine = InnoDB default character set utf8mb4 collate utf8mb4_nopad_bin */;

create table releves_mensuels (
  compte_id       integer not null,
  mois            date not null,               -- first day of the month
  solde_moyen     decimal(14,2),               -- euros, mean of the daily balances
  solde_min       decimal(14,2),               -- euros, lowest daily balance
  total_credits   decimal(14,2),               -- euros
  total_debits    decimal(14,2),               -- euros
  jours_decouvert integer,                     -- days with a negative balance
  nb_rejets       integer,                     -- rejected payments
  primary key (compte_id, mois),
  constraint releves_compte foreign key (compte_id) references comptes (compte_id),
  constraint releves_mois check (date(mois) is not null and date(mois) = mois and substr(mois, 9, 2) = '01'),
  constraint releves_solde_moyen check (solde_moyen between -10000000 and 100000000),
  constraint releves_solde_min check (solde_min between -10000000 and 100000000),
  constraint releves_total_credits check (total_credits between 0 and 100000000),
  constraint releves_total_debits check (total_debits between 0 and 100000000),
  constraint releves_jours_decouvert check (jours_decouvert between 0 and 31),
  constraint releves_nb_rejets check (nb_rejets between 0 and 1000),
  constraint releves_min_sous_moyenne check (solde_min <= solde_moyen)
) /*! engine = InnoDB default character set utf8mb4 collate utf8mb4_nopad_bin */;

create table demandes_de_pret (
  demande_id   integer not null primary key,
  client_id    integer not null,
  date_demande date not null,
  montant      decimal(12,2) not null,         -- euros
  duree_mois   integer not null,
  taux_annuel  decimal(6,3),                   -- % a year
  mensualite   decimal(12,2),                  -- euros a month
  objet        varchar(20),
  canal        varchar(20),
  decision     varchar(10),                    -- NULL while the application is open
  statut_pret  varchar(12),                    -- NULL while the loan runs, or where it was refused
  date_statut  date,                           -- day on which statut_pret became known
  constraint demandes_client foreign key (client_id) references clients (client_id),
  constraint demandes_demande_id check (demande_id > 0),
  constraint demandes_date_demande check (date(date_demande) is not null and date(date_demande) = date_demande),
  constraint demandes_montant check (montant between 100 and 1000000),
  constraint demandes_duree_mois check (duree_mois between 1 and 420),
  constraint demandes_taux_annuel check (taux_annuel between 0 and 30),
  constraint demandes_mensualite check (mensualite between 0 and 1000000),
  constraint demandes_objet check (objet in ('auto', 'travaux', 'equipement', 'personnel', 'etudes', 'regroupement')),
  constraint demandes_canal check (canal in ('agence', 'en_ligne', 'telephone', 'courtier')),
  constraint demandes_decision check (decision in ('acceptee', 'refusee')),
  constraint demandes_statut_pret check (statut_pret in ('Remboursé', 'Défaut')),
  constraint demandes_statut_accepte check (statut_pret is null or decision = 'acceptee'),
  constraint demandes_date_statut check (date_statut is null or date(date_statut) is not null and date(date_statut) = date_statut and date_statut >= date_demande),
  constraint demandes_statut_date check ((statut_pret is null) = (date_statut is null))
) /*! engine = InnoDB default character set utf8mb4 collate utf8mb4_nopad_bin */;

create table decisions (
  decision_id    varchar(36) not null primary key,
  horodatage     varchar(32) not null,         -- UTC, ISO 8601
  cle            varchar(64) not null,         -- name of the API key, not the key
  dossier        text not null,                -- JSON
  resultat       text not null,                -- JSON, reasons included
  modele_version varchar(64) not null,
  ecrivain       varchar(36) not null,         -- process that wrote the row
  rang           integer not null,             -- 1, 2, 3… within the chain of the writer
  hash_precedent varchar(64) not null,
  hash           varchar(64) not null,
  constraint decisions_chaine unique (ecrivain, rang)
) /*! engine = InnoDB default character set utf8mb4 collate utf8mb4_nopad_bin */;
