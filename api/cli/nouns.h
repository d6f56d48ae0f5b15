/* What the rows of the table of commands do: one file a noun. */
#ifndef API_CLI_NOUNS_H
#define API_CLI_NOUNS_H

#include "api/cli/command.h"

/* access.c */
enum exit_code run_login(struct args *a);
enum exit_code run_logout(struct args *a);
/* IREKO_PASSWORD_FILE is set. */
bool can_login_once(void);
/* A login as admin with that password, for this command only: nothing of it is stored, and
 * logout_once ends it. */
enum exit_code login_once(struct args *a) must_check;
void logout_once(struct args *a);
/* user.c */
enum exit_code run_user_add(struct args *a);
enum exit_code run_user_list(struct args *a);
enum exit_code run_user_show(struct args *a);
enum exit_code run_user_disable(struct args *a);
enum exit_code run_user_enable(struct args *a);
enum exit_code run_user_rm(struct args *a);
/* device.c */
enum exit_code run_device_add(struct args *a);
enum exit_code run_device_list(struct args *a);
enum exit_code run_device_show(struct args *a);
enum exit_code run_device_disable(struct args *a);
enum exit_code run_device_enable(struct args *a);
enum exit_code run_device_rm(struct args *a);
/* credential.c */
enum exit_code run_credential_issue(struct args *a);
enum exit_code run_credential_revoke(struct args *a);
/* invite.c */
enum exit_code run_invite(struct args *a);
/* session.c */
enum exit_code run_session_list(struct args *a);
enum exit_code run_session_kill(struct args *a);
/* status.c */
enum exit_code run_status(struct args *a);
/* events.c, top.c */
enum exit_code run_events(struct args *a);
enum exit_code run_top(struct args *a);
/* traffic.c */
enum exit_code run_traffic(struct args *a);
/* token.c */
enum exit_code run_token_list(struct args *a);
enum exit_code run_token_add(struct args *a);
enum exit_code run_token_rm(struct args *a);
/* audit.c */
enum exit_code run_audit_list(struct args *a);
enum exit_code run_audit_verify(struct args *a);
/* settings.c */
enum exit_code run_settings_show(struct args *a);
enum exit_code run_settings_set(struct args *a);
/* backup.c */
enum exit_code run_backup(struct args *a);
/* completion.c */
enum exit_code run_completion(struct args *a);

#endif
